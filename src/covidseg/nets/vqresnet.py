"""Jin et al.'s network: a dilated ResNet-50 whose deepest features are also quantised and reconstruct the image."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg.base.errors import UserError
from covidseg.nets.layers import ImagenetInput, conv_bn_relu, pad_to, scaled
from covidseg.nets.quantize import Codebook
from covidseg.nets.resnet import ResNet

PLANNING = {
    "weights_mib": 102,
    "kept_bytes": 4300,
    "forward_bytes": 450,
    "stride": 8,
    "encoder": "resnet50",
    "outputs": {"vq": {"vq": True}},
}
STEEP = 2  # of the sigmoid that ends the decoder: half as steep at mid-grey as a line of slope 1


class VQResNet(nn.Module):
    """The segmentation network of Jin et al. (Information Sciences 612:745, 2022, sections 3.1 and 3.2, figure 1).

    In: (N, in_channels, H, W) in 0..1, any size; one channel becomes three with ImageNet's mean and deviation, more
    enter as they are. Out: ``logits`` (N, out_channels, H, W), and in train mode what the loss ``vq`` needs: ``vq``, of
    each level, top then bottom, the features before quantisation and their codes; ``reconstruction``, the image and
    what the codes make of it. ``width`` multiplies all channels. Sizes that 16 does not divide are padded inside.

    The paper names no widths, no depth and no number of parameters. It states a "modified Resnet-based" backbone, a
    branch at the "endpoint of the encoder" with two levels of codes, whose quantised maps reconstruct the image and
    join the backbone's features. What it leaves open is set as in PSPNet (ResNet-50 of output stride 8) and
    VQ-VAE-2 (Razavi et al. 2019: 64 channels and 512 ``codes`` a level, a codebook for each, residual blocks of 32
    channels, the bottom level sees the top one). Features are normalised before they are quantised, and codes begin
    as normal numbers: without that, codebooks that learn by gradients alone soon use one or two codes. Training
    starts from random weights, as no pre-training is mentioned; ``init: imagenet`` changes that. Section 3.2 calls
    the top level global, section 4.4 swaps the levels: here top is global, at half the resolution of the bottom
    level.

    Switches: ``vq``, the whole branch; ``reconstruction``, its decoder of the image, without which the branch learns
    from the segmentation and the codebook terms alone.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: float = 1.0,
        init: Literal["random", "imagenet"] = "random",
        vq: bool = True,
        reconstruction: bool = True,
        codes: int = 512,
    ) -> None:
        super().__init__()
        del init  # a network is built with random weights; training puts published ones in (nets/published.py)
        if codes < 2:
            raise UserError(f"net.codes: must be 2 or more (found {codes})")
        middle, narrow = scaled(256, width), scaled(128, width)
        self.input = ImagenetInput(in_channels)
        self.encoder = ResNet(self.input.channels, width, output_stride=8)
        self.reduce = conv_bn_relu(self.encoder.channels[-1], middle, 1)
        self.branch = Branch(middle, in_channels, width, codes, reconstruction) if vq else None
        seen = middle + (self.branch.channels if self.branch else 0)
        self.decoder = nn.ModuleList((conv_bn_relu(seen, middle, 3), conv_bn_relu(middle, narrow, 3)))
        self.head = nn.Conv2d(narrow, out_channels, 1)

    def forward(self, x_NCHW: Tensor) -> dict[str, Any]:
        """Return ``logits`` and, in train mode and with the branch, ``vq`` and ``reconstruction``."""
        H, W = x_NCHW.shape[2:]
        x = pad_to(x_NCHW, 16)
        y = self.reduce(self.encoder(self.input(x))[-1])
        outputs: dict[str, Any] = {}
        if self.branch is not None:
            latent, levels = self.branch(y)
            y = torch.cat((y, latent), 1)
            if self.training:
                image = self.branch.image(latent)
                outputs = {"vq": levels} | ({} if image is None else {"reconstruction": [x, image]})
        for block in self.decoder:
            y = F.interpolate(block(y), scale_factor=2, mode="bilinear", align_corners=False)
        scores = F.interpolate(self.head(y), x.shape[2:], mode="bilinear", align_corners=False)
        return {"logits": scores[:, :, :H, :W], **outputs}

    def reconstruct(self, x_NCHW: Tensor) -> Tensor:
        """Return the reconstruction of images, (N, in_channels, H, W) in 0..1.

        Raises UserError for a network without the decoder of images.
        """
        H, W = x_NCHW.shape[2:]
        y = self.reduce(self.encoder(self.input(pad_to(x_NCHW, 16)))[-1])
        image = self.branch.image(self.branch(y)[0]) if self.branch else None
        if image is None:
            raise UserError("net: this network does not reconstruct images; set vq: true and reconstruction: true")
        return image[:, :, :H, :W].float()

    @property
    def codebooks(self) -> dict[str, Codebook]:
        """Return the codebooks by level; none without the branch."""
        return {"top": self.branch.top_codes, "bottom": self.branch.bottom_codes} if self.branch else {}


class Branch(nn.Module):
    """Two levels of codes of the encoder's features, and the decoder that makes the image of them (section 3.2).

    In: features at 1/8. Out: the quantised maps of both levels, (N, ``channels``, H, W) at 1/8; and of each level, top
    then bottom, features and codes.
    """

    def __init__(self, in_channels: int, image_channels: int, width: float, codes: int, reconstruction: bool) -> None:
        super().__init__()
        deep, inner, hidden = scaled(64, width), scaled(128, width), scaled(32, width)
        self.channels = 2 * deep
        self.bottom = nn.Sequential(nn.Conv2d(in_channels, inner, 3, padding=1), Residual(inner, hidden, 2))
        self.top = nn.Sequential(nn.Conv2d(inner, inner, 4, 2, 1), Residual(inner, hidden, 2))
        self.to_top, self.to_bottom = _features(inner, deep), _features(inner + deep, deep)
        self.top_codes, self.bottom_codes = Codebook(codes, deep), Codebook(codes, deep)
        self.enlarge = nn.ConvTranspose2d(deep, deep, 4, 2, 1)
        self.decode = (
            nn.Sequential(
                nn.Conv2d(2 * deep, inner, 3, padding=1),
                Residual(inner, hidden, 2),
                nn.ConvTranspose2d(inner, deep, 4, 2, 1),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(deep, deep, 4, 2, 1),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(deep, image_channels, 4, 2, 1),
            )
            if reconstruction
            else None
        )

    def forward(self, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the quantised maps, and features and codes of each level."""
        bottom = self.bottom(y)
        z_top = self.to_top(self.top(bottom))
        q_top, e_top = self.top_codes(z_top)
        enlarged = self.enlarge(q_top)
        z_bottom = self.to_bottom(torch.cat((bottom, enlarged), 1))
        q_bottom, e_bottom = self.bottom_codes(z_bottom)
        return torch.cat((enlarged, q_bottom), 1), [z_top.float(), e_top, z_bottom.float(), e_bottom]

    def image(self, latent: Tensor) -> Tensor | None:
        """Return the image in 0..1 that quantised maps make, (N, image channels, 8 H, 8 W); None without a decoder."""
        return None if self.decode is None else torch.sigmoid(STEEP * self.decode(latent))


def _features(in_channels: int, channels: int) -> nn.Sequential:
    """Return a 1x1 convolution and batch normalisation without parameters."""
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels, affine=False))


class Residual(nn.Sequential):
    """Residual blocks of VQ-VAE-2: ReLU, 3x3 to few channels, ReLU, 1x1 back, added to the input; a ReLU at the end."""

    def __init__(self, channels: int, hidden: int, blocks: int) -> None:
        super().__init__(*(_Block(channels, hidden) for _ in range(blocks)), nn.ReLU())


class _Block(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, hidden, 3, padding=1)
        self.outer = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus its correction."""
        return x + self.outer(torch.relu(self.inner(torch.relu(x))))  # type: ignore[no-any-return]
