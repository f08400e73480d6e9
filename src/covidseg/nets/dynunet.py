"""nnU-Net's 2-D network, MONAI's DynUNet."""

from __future__ import annotations

from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import pad_to, scaled
from covidseg.nets.library import from_monai

PLANNING = {"weights_mib": 177, "kept_bytes": 2550, "forward_bytes": 700, "stride": 128, "encoder": None}


class DynUNet(nn.Module):
    """The network of nnU-Net (Isensee et al., Nature Methods 18:203, 2021) without its planning and training.

    In: (N, in_channels, H, W), any size. Out: ``logits`` (N, out_channels, H, W). It is what nnU-Net's rules give for
    2-D slices of 512 x 512: halved until the deepest map is 4 x 4, so eight ``levels`` of 32, 64, 128, 256 and then
    512 channels times ``width``; on each two 3x3 convolutions with instance normalisation and leaky ReLU (0.01), the
    first of stride 2 below the top; 2x2 transposed convolution up, concatenated skips. No deep supervision: the loop
    that compares networks has one loss for all. Of convolutions only the last has a bias, where nnU-Net has it on all:
    the normalisation takes the others away.

    A slice half as large is planned with one level less. Sizes that the levels do not divide, or whose deepest map
    would be a single pixel without variance, are padded inside. Raises UserError for levels outside 3 to 10.
    """

    def __init__(self, in_channels: int, out_channels: int, *, width: float = 1.0, levels: int = 8) -> None:
        super().__init__()
        if not 3 <= levels <= 10:
            raise UserError(f"net.levels: must be 3 to 10 (found {levels})")
        self.multiple = 2 ** (levels - 1)
        whole = from_monai("monai.networks.nets.dynunet", "DynUNet")(
            2,
            in_channels,
            out_channels,
            kernel_size=[3] * levels,
            strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1),
            filters=[scaled(min(32 * 2**n, 512), width) for n in range(levels)],
        )
        # The library's class holds each block under two names, which no weights file can; these two hold it once.
        self.body, self.head = whole.skip_layers, whole.output_block

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        """Return ``logits``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, self.multiple)
        if x.shape[2] == x.shape[3] == self.multiple:
            x = pad_to(x, 2 * self.multiple)
        return {"logits": self.head(self.body(x))[:, :, :H, :W]}
