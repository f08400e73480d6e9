"""Prediction: a trained model back from its file, and 8-bit probability maps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.losses.targets import probabilities
from covidseg.schema import RunSpec
from covidseg.train.device import autocast, place, prepare
from covidseg.train.job import out_channels
from covidseg.train.loader import Rows, SliceLoader, compose, evaluation_batch, in_batches

U8 = npt.NDArray[np.uint8]
REMEDY = "train it again"


def save_model(model: nn.Module, spec: RunSpec, path: Path) -> None:
    """Write the weights as safetensors, with the network and its input and classes as the only metadata."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    data = save(tensors, metadata={"covidseg": _signature(spec)})
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load_model(folder: Path, spec: RunSpec) -> nn.Module:
    """Return the trained model of ``folder/model.safetensors``, ready to predict, on the CPU.

    Raises UserError when the file is missing, damaged, or of another network, input or set of classes.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: missing; {REMEDY}")
    try:
        with safe_open(path, "pt") as file:
            made_by = (file.metadata() or {}).get("covidseg")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as e:
        raise UserError(f"{path}: damaged ({e}); {REMEDY}") from e
    if made_by != _signature(spec):
        raise UserError(f"{path}: made by another network, input or set of classes ({made_by}); {REMEDY}")
    model = nets.build(spec.net, spec.input.channels, out_channels(spec))
    try:
        model.load_state_dict(weights)
    except RuntimeError as e:
        raise UserError(f"{path}: does not fit the network ({str(e).splitlines()[-1].strip()}); {REMEDY}") from e
    return place(model, torch.device("cpu")).eval()


def predict(
    model: nn.Module,
    images: Iterable[U8] | U8,
    lung: Iterable[U8] | U8 | None,
    spec: RunSpec,
    device: str,
    prior: Iterable[U8] | U8 | None = None,
) -> U8:
    """Return the probability maps of slices: uint8 (N, K, H, W), round(255 p), one per foreground class.

    images: uint8 (N, H, W), or an iterable of (H, W) slices of one size; lung: 0/1 masks of the same slices, needed
    by the input modes that use them; device: auto, cpu or cuda; prior: uint8 maps of the same slices, where the network
    sees one. Raises UserError when masks are needed and missing.
    """
    where = prepare(device, spec.threads, spec.precision)
    model.to(where).eval()
    left, *others = (None if given is None else iter(given) for given in (images, lung, prior))
    assert left is not None
    out: list[U8] = []
    batch = 1  # until the size of the slices is known
    while chunk := list(itertools.islice(left, batch)):
        parts = [chunk, *(None if other is None else list(itertools.islice(other, batch)) for other in others)]
        image, mask, map_ = (None if part is None else torch.from_numpy(np.stack(part)).to(where) for part in parts)
        assert image is not None
        out.append(_quantised(forward(model, compose(image, mask, spec.input.mode, map_))))
        batch = evaluation_batch(max(image.shape[1:]), where)
    return np.concatenate(out) if out else np.zeros((0, len(spec.classes), 0, 0), np.uint8)


def forward(model: nn.Module, x_NCHW: Tensor) -> Tensor:
    """Return the foreground probabilities (N, K, H, W), float32, without gradients."""
    with torch.inference_mode(), autocast(x_NCHW.device):
        outputs: dict[str, Any] = model(x_NCHW)
        return probabilities(outputs["logits"])


def write_predictions(
    model: nn.Module,
    loader: SliceLoader,
    rows: Rows,
    classes: list[str],
    path: Path,
    more: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({}),
) -> None:
    """Write the probability maps of some rows of the tensors: ``prob`` uint8 (N, K, H, W), ``index`` int32 (N,).

    ``more``: name -> function from the network's input to maps (n, H, W) in 0..1, written beside as uint8 (N, H, W).
    """
    from covidseg.data.full import hdf5

    with hdf5(path) as writer:
        writer.file.attrs["classes"] = json.dumps(classes)
        append = writer.slices("prob", rows, (len(classes), loader.size, loader.size))
        for maps in maps_of(model, loader, rows):
            append(maps)
        for name, function in more.items():
            append = writer.maps(name, len(rows), (loader.size, loader.size))
            for x, _ in loader.batches(in_batches(rows, evaluation_batch(loader.size, loader.device))):
                with torch.inference_mode(), autocast(x.device):
                    append(_quantised(function(x)))


def maps_of(model: nn.Module, loader: SliceLoader, rows: Rows) -> Iterator[U8]:
    """Yield the probability maps (n, K, H, W) of some rows in parts."""
    model.eval()
    for x, _ in loader.batches(in_batches(rows, evaluation_batch(loader.size, loader.device))):
        yield _quantised(forward(model, x))


def _quantised(p: Tensor) -> U8:
    quantised: U8 = (p * 255).round().to(torch.uint8).cpu().numpy()
    return quantised


def _signature(spec: RunSpec) -> str:
    return json.dumps({"net": spec.net, "input": spec.input.in_words, "classes": spec.classes}, sort_keys=True)
