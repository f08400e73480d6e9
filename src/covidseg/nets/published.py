"""Published ImageNet weights of encoders: where they are, and how an encoder takes them.

A network that can start from them names them in its file (``PLANNING``), and has the option ``init`` and the module
``encoder``. The end of a file's name is the start of its sha256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.base.files import need_regular

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = {
    "res2net50": "https://shanghuagao.oss-cn-beijing.aliyuncs.com/res2net/res2net50_v1b_26w_4s-3cf99910.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-19c8e357.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}
CLASSIFIER = ("fc.", "classifier.")  # of the 1000 classes of ImageNet


def encoder_of(net: dict[str, Any]) -> str | None:
    """Return the name of the encoder that starts from published weights; None where none does."""
    encoder = nets.planning(net["name"])["encoder"] if net else None
    if encoder is None or net.get("init", nets.options(net["name"])["init"].default) != "imagenet":
        return None
    return str(net.get("encoder", encoder))


def fetch(
    encoder: str,
    folder: Path,
    mirror: Path | None,
    hashes: Mapping[str, str],
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the file of an encoder's weights, from ``folder``, the mirror, or its address.

    Those of ResNet-38d have no address: they come from the mirror with a sha256 that ``hashes`` names. Raises UserError
    when a file cannot be had, or its sha256 does not start as its name ends.
    """
    from covidseg.data.fetch import weights
    from covidseg.data.unpublished import find

    remedy = "set init: random in config.yaml"
    if encoder not in WEIGHTS:
        return find(encoder, mirror, hashes, remedy)
    return weights(WEIGHTS[encoder], folder, mirror, remedy, progress)


def read(path: Path, what: str) -> dict[str, Tensor]:
    """Read a file of weights without running code from it. Raises UserError when it is none."""
    import torch

    need_regular(path)
    if not path.stat().st_size:
        raise UserError(f"{path}: empty, not {what}; delete it, then it is fetched again")
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except MemoryError:
        raise
    except Exception as e:  # unpicklers and zip readers raise almost anything for a damaged file
        why = (str(e).splitlines() or [type(e).__name__])[0]
        raise UserError(f"{path}: not {what} ({why}); delete it, then it is fetched again") from e


def load(encoder: nn.Module, path: Path) -> None:
    """Put published weights, but the classifier's, into an encoder. Raises UserError when they do not fit."""
    found = read(path, "the encoder's weights")
    try:
        encoder.load_state_dict({key: value for key, value in found.items() if not key.startswith(CLASSIFIER)})
    except (RuntimeError, AttributeError) as e:
        raise UserError(
            f"{path}: does not fit the encoder ({str(e).splitlines()[-1].strip()}); name another net.encoder, or set "
            "net.init: random"
        ) from e
