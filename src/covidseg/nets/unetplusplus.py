"""U-Net++, MONAI's BasicUNetPlusPlus."""

from __future__ import annotations

from torch import Tensor, nn

from covidseg.nets.layers import pad_to, scaled
from covidseg.nets.library import from_monai

PLANNING = {"weights_mib": 35, "kept_bytes": 8750, "forward_bytes": 2820, "stride": 16, "encoder": None}


class UNetPlusPlus(nn.Module):
    """U-Net++ (Zhou et al., DLMIA 2018, figure 1a): a U-Net whose skips are nested, densely connected blocks.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). Five levels of 32 to 512 channels
    times ``width``, two 3x3 convolutions a block, max pooling down, 2x2 transposed convolution up. Unlike the paper,
    no deep supervision (the loop that compares networks has one loss for all): the logits are those of the last block
    of the top row, and the other blocks of that row have no output of their own. Batch normalisation after each
    convolution, which the paper does not name, as in U-Net here. The top row's blocks keep all channels of what they
    enlarge; the others halve them. Sizes that 16 does not divide are padded inside.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        self.body = from_monai("monai.networks.nets.basic_unetplusplus", "BasicUNetPlusPlus")(
            2,
            in_channels,
            out_channels,
            features=[scaled(c, width) for c in (32, 64, 128, 256, 512, 32)],
            act=("relu", {"inplace": True}),
            norm="batch",
            bias=False,
        )
        for unused in ("final_conv_0_1", "final_conv_0_2", "final_conv_0_3"):
            setattr(self.body, unused, nn.Identity())

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        return {"logits": self.body(pad_to(x_NCHW, 16))[-1][:, :, :H, :W]}
