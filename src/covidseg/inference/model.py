"""Exported models: the weights of all folds of a run, with everything needed to apply them, in one file.

The file is safetensors: tensors, and one JSON text as metadata. Reading it runs no code from it: the networks are built
here, by name and checked options, and their weights are compared by name and shape before memory is taken for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from covidseg.base.errors import UserError
from covidseg.base.files import replacing
from covidseg.schema import LungSource, RunSpec, parse
from covidseg.schema.base import Finite, Name, Pixels, RunId, Strict
from covidseg.schema.run import Input

if TYPE_CHECKING:
    from torch import Tensor, nn

    from covidseg.inference.scan import Member

FORMAT = 1
KEY, TRAINING = "covidseg-model", "covidseg"  # the metadata of this file, and of one training's weights
LARGEST = 4_000_000  # characters of the metadata
LUNGS = "lungs"  # the lung network's tensors, beside those of member0, member1, ...
Intensities = Literal["hu", "8-bit", "both", "unknown"]


class Network(Strict):
    """A network as it was trained: its input, its classes, its name and options."""

    net: dict[str, Any]
    input: Input
    classes: list[Name] = Field(min_length=1)

    def spec(self, threads: int = 1) -> RunSpec:
        """Return a run specification for prediction; settings that only training needs are placeholders."""
        return RunSpec(
            dataset="any", split="any", net=self.net, input=self.input, classes=self.classes, losses={}, threads=threads
        )


class Settings(Strict):
    """The settings that applying a model needs, and the facts that a reader of its masks needs."""

    format: Literal[1] = 1
    run: RunId
    network: Network
    prior: Network | None = Field(None, description="The network whose map is this one's last channel.")
    members: int = Field(ge=1, le=1000, description="Trainings (folds and seeds) whose probabilities are averaged.")
    labels: dict[Name, Annotated[int, Field(ge=1, le=255)]] = Field(description="Class -> value in the masks.")
    window: tuple[Finite, Finite] | None = Field(None, description="HU shown as 0 and 255.")
    crop: Pixels | None = Field(None, description="Side of the window round the lungs that the network sees.")
    lungs: LungSource = Field(description="How the lung masks of new scans are made.")
    lung_network: Network | None = None
    intensities: Intensities = Field("unknown", description="What its training scans were stored as.")
    phantoms: bool = Field(description="It was trained on generated phantoms only, not on patients.")
    caveats: list[str] = Field([], description="What a reader of its masks must know.")
    data: dict[str, Any] = Field({}, description="Training data: title, licence, numbers of cases, hashes.")
    scores: dict[str, Any] = Field({}, description="On its test cases, by protocol, class and metric.")
    versions: dict[str, str] = Field({}, description="Of the libraries that it was trained with.")
    spec: dict[str, Any] = Field({}, description="The whole resolved run, for the record.")


@dataclass(frozen=True)
class Model:
    """Settings and weights. ``sha256`` is over both; outputs identify the model by it."""

    settings: Settings
    weights: Mapping[str, Tensor]
    sha256: str

    @classmethod
    def of(cls, settings: Settings, weights: Mapping[str, Tensor]) -> Model:
        """Return the model of settings and weights, named ``member<k>.<tensor>``, ``prior<k>.`` and ``lungs.``."""
        return cls(settings, weights, _digest(_text(settings), weights))

    @property
    def about(self) -> str:
        """Return the line that every output carries: the run, its hash, and a warning if it saw phantoms only."""
        warning = "; TRAINED ON PHANTOMS ONLY, not for patients" if self.settings.phantoms else ""
        return f"covidseg {self.settings.run} {self.sha256[:12]}{warning}"

    def members(self, device: str, threads: int) -> list[Member]:
        """Return the trained networks, ready to predict. Raises UserError when the weights are of other networks."""
        from covidseg.inference.scan import Member

        spec, prior = self.settings.network.spec(threads), self.settings.prior
        found = []
        for k in range(self.settings.members):
            guide = None
            if prior is not None:
                guide = Member(self._built(prior, f"prior{k}."), prior.spec(threads), device)
            found.append(Member(self._built(self.settings.network, f"member{k}."), spec, device, guide))
        return found

    def lung_network(self, device: str, threads: int) -> Member | None:
        """Return the network that makes the lung masks, where the model brings one."""
        from covidseg.inference.scan import Member

        network = self.settings.lung_network
        return None if network is None else Member(self._built(network, f"{LUNGS}."), network.spec(threads), device)

    def _built(self, network: Network, prefix: str) -> nn.Module:
        import torch

        from covidseg import nets
        from covidseg.train.device import place
        from covidseg.train.job import out_channels

        nets.check(network.net, self.settings.run)
        size = (network.input.channels, out_channels(network.spec()))
        weights = {name.removeprefix(prefix): t for name, t in self.weights.items() if name.startswith(prefix)}
        with torch.device("meta"):
            wanted = nets.build(network.net, *size).state_dict()
        if {name: t.shape for name, t in wanted.items()} != {name: t.shape for name, t in weights.items()}:
            raise UserError(f"{self.settings.run}: the weights {prefix}* do not fit the network {network.net['name']}")
        model = nets.build(network.net, *size)
        model.load_state_dict(weights)
        return place(model, torch.device("cpu")).eval()


def save(model: Model, path: Path) -> None:
    """Write a model as one file; equal models give equal bytes."""
    from safetensors.torch import save_file

    metadata = {KEY: sealed(_text(model.settings), model.sha256)}  # one key: the order of several would be random
    with replacing(path) as temporary:
        save_file({name: t.contiguous() for name, t in model.weights.items()}, temporary, metadata)


def load(path: Path) -> Model:
    """Read an exported model. Raises UserError, one line, when the file is missing, foreign, damaged or of a newer
    format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: no such file; name a file of covidseg export, or a run as mine/ours")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if KEY not in metadata:
                what = "the weights of one training" if TRAINING in metadata else "safetensors of another program"
                raise UserError(f"{path}: {what}, no exported model; make one with covidseg export RUN --out FILE")
            text, sha256 = _opened(metadata[KEY], path)
            settings = _settings(text, path)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as e:
        raise UserError(f"{path}: damaged, or no exported model ({e}); export it again, or copy it again") from e
    if sha256 != _digest(text, weights):
        raise UserError(f"{path}: damaged: its content is not what its hash says; copy it again, or export it again")
    return Model(settings, weights, sha256)


def sealed(text: str, sha256: str) -> str:
    """Return settings, as text, and the hash of the whole as the file's metadata."""
    return json.dumps({"sha256": sha256, "settings": text}, sort_keys=True)


def _opened(sealed_text: str, path: Path) -> tuple[str, str]:
    try:
        if len(sealed_text) > LARGEST:
            raise ValueError(f"{len(sealed_text)} characters of settings")
        value = json.loads(sealed_text)
        return str(value["settings"]), str(value["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise UserError(f"{path}: damaged settings ({e}); export it again") from e


def _settings(text: str, path: Path) -> Settings:
    try:
        value = json.loads(text)
        if value["format"] != FORMAT:
            raise UserError(f"{path}: format {value['format']}, and this version reads {FORMAT}; update covidseg")
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise UserError(f"{path}: damaged settings ({e}); export it again") from e
    return parse(Settings, value, str(path))


def _text(settings: Settings) -> str:
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True)


def _digest(text: str, weights: Mapping[str, Tensor]) -> str:
    """Return the sha256 over settings and weights."""
    import torch

    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
