"""Weights without a public address and hash: a file in the mirror, whose sha256 the user names in config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covidseg.base import files
from covidseg.base.errors import UserError

KNOWN = {  # name -> what it is
    "poolnet": "PoolNet's weights for ResNet-50, as its authors released them",
    "resnet38d": "ResNet-38d's ImageNet weights, as AffinityNet and SEAM use them, saved by torch",
}


def find(name: str, mirror: Path | None, hashes: Mapping[str, str], remedy: str) -> Path:
    """Return the file ``weights/NAME.pth`` of the mirror. Raises UserError, which names the ``remedy``, when it is not
    there, when no sha256 is named for it, and when its sha256 is another.
    """
    what = KNOWN[name]
    path = mirror / "weights" / f"{name}.pth" if mirror else None
    if path is None or not path.is_file():
        where = path or f"weights/{name}.pth of a mirror: folder"
        raise UserError(f"{where}: no such file; put {what}, there, or {remedy}")
    if name not in hashes:
        raise UserError(f"{path}: no public hash is known; check where it is from, and name its sha256 in config.yaml: "
                        f"weights: {{{name}: {files.sha256(path)}}}")  # fmt: skip
    if files.sha256(path) != hashes[name]:
        raise UserError(f"{path}: its sha256 is {files.sha256(path)[:16]}..., not that of weights: in config.yaml")
    return path
