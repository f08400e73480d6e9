"""The models of every YAML file a person edits: config, papers, data sets, protocols, presets.

Unknown keys are errors. ``load`` turns a failed validation into one line that names the file, the path to the key and
the nearest legal name. Nothing here imports torch, and nothing here reads data.
"""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_serializer

from covidseg.errors import UserError, nearest, redacted

Mode = Literal["demo", "paper"]
Follow = Literal["described", "released"]
LungSource = Literal["labels", "r231", "r231covidweb", "threshold", "phantom", "none"]
InputMode = Literal["slice", "slice+lung", "masked"]
Init = Literal["imagenet", "random"]


# Names become parts of paths, of commands and of table rows.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
RunId = Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
T = TypeVar("T")


def _once(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("each may stand once only")
    return values


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError("the first HU must be below the second")
    return window


def _folder(path: Path) -> Path:
    """Refuse what is no folder, and braces: in the path of a rule's output they would be a wildcard."""
    if ":/" in str(path):
        raise ValueError("expected a folder, not an address")
    if not str(path).isprintable() or set("{}") & set(str(path)):
        raise ValueError("a folder's name cannot hold braces or control characters")
    return path


def _inside(name: str) -> str:
    if not name.isprintable() or PurePosixPath(name).is_absolute() or {"", "..", "."} & set(name.split("/")):
        raise ValueError("expected a path inside the data set's folder")
    return name


def _address(url: str) -> str:
    """Refuse what is no download, and passwords, which would stand in logs and records."""
    if not re.fullmatch(r"https?://[^/\s]+/\S*|figshare:\d+", url) or not url.isprintable():
        raise ValueError("expected https://..., http://... or figshare:ARTICLE")
    if redacted(url) != url:
        raise ValueError("a password does not belong here; put the file into the mirror folder")
    return url


Once = AfterValidator(_once)
Folder = Annotated[Path, AfterValidator(_folder)]
Inside = Annotated[str, AfterValidator(_inside)]
Address = Annotated[str, AfterValidator(_address)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Pixels = Annotated[int, Field(ge=16, le=8192)]


def _told_by(key: str, default: str) -> Discriminator:
    """Tell the members of a family apart by a key, which may be absent for one of them."""

    def tag(value: Any) -> str:
        return str(value.get(key, default) if isinstance(value, dict) else getattr(value, key, default))

    tag.__name__ = key  # what a message calls it
    return Discriminator(tag)


class Strict(BaseModel):
    """A model that refuses unknown keys and cannot change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), serialize_by_alias=True)


# ---- config.yaml -----------------------------------------------------------------------------------------------------


class Config(Strict):
    """``config.yaml``: what a user edits."""

    mode: Mode = Field("demo", description="demo: phantom CT, made here. paper: the real data.")
    preset: Name = Field("auto", description="A name in workflow/presets, or auto: tiny for demo, full for paper.")
    papers: Annotated[list[Name], Once] = Field(
        ["ssanet"], min_length=1, description="Names of the files in workflow/papers."
    )
    only: Annotated[list[RunId], Once] = Field(
        [], description="Runs to make (paper/run); empty: all. Rows left out say so."
    )
    seeds: Annotated[list[Count], Once] = Field([0], min_length=1, description="One training per seed, run and fold.")
    folds: Annotated[list[Count], Field(min_length=1), Once] | Literal["all"] = Field(
        "all", description="Folds to make, or all."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one.")
    data: Folder = Field(Path("data"), description="Where raw, canonical and tensor data go.")
    results: Folder = Field(Path("results"), description="Where results go, by mode.")
    mirror: Folder | None = Field(None, description="A local folder asked before any download.")
    stand_ins: dict[Name, Name] = Field({}, description="Data set -> data set used in its place; said in captions.")
    lungs: dict[Name, LungSource] = Field({}, description="Data set -> where its lung masks come from.")
    init: Init = Field("imagenet", description="random: no encoder starts from ImageNet's weights; said in captions.")


# ---- data sets -------------------------------------------------------------------------------------------------------


class Source(Strict):
    """One file or folder of a data set: where it lies and how to know that it is whole."""

    name: Inside = Field(description="Path below the data set's raw folder, and below the mirror.")
    urls: list[Address] = []
    sha256: str | None = None
    md5: str | None = None
    manifest: Inside | None = Field(None, description="CSV beside the data set's YAML with one file,sha256 per line.")
    unpack: bool = False
    optional: bool = Field(False, description="Where it cannot be had, it is left out; rows that need it say so.")


class Phantom(Strict):
    """How the generated twin of a data set looks."""

    seed: Count
    size: Pixels = Field(description="Width and height of a slice; larger ones follow from the data set's quirks.")
    slices: Positive = Field(1, description="Slices per volume.")
    lung: Share = Field(description="Share of lung pixels over the slices with lesion.")
    ggo: Share = Field(description="Share of ground-glass pixels over the slices with lesion.")
    consolidation: Share = Field(description="Share of consolidation pixels over the slices with lesion.")


class Crop(Strict):
    """Cut larger slices to ``size`` round the lungs' centre of gravity (SSA-Net, section 4.2)."""

    size: Pixels


class Dataset(Strict):
    """``workflow/datasets/NAME.yaml``."""

    title: str
    about: str
    licence: str
    importer: str
    sources: list[Source] = []
    classes: dict[Name, Annotated[int, Field(ge=1, le=255, strict=True)]] = Field(
        description="Class name -> value in the canonical label map."
    )
    unions: dict[Name, list[Name]] = Field({}, description="Name -> classes it joins.")
    window: Annotated[tuple[Finite, Finite], AfterValidator(_rising)] | None = Field(
        None, description="HU window mapped to 0..255 where voxels are raw HU."
    )
    crop: Crop | None = None
    keep: Name = Field(
        "all",
        description="Slices that enter tensors: all, lesion (any class shows), or a class or union to show.",
    )
    lungs: LungSource = "none"
    splits: dict[Name, Name] = Field({}, description="Split name -> this data set's own version of it.")
    phantom: Phantom | None = None
    folder: Folder | None = Field(None, description="importer folder: where the user's data lie.")
    joins: Annotated[list[Name], Once] = Field(
        [], description="importer joined: the data sets it consists of; classes, keep and crop are those of each."
    )

    @property
    def kept(self) -> list[str]:
        """Return the classes of which a labelled slice has to show one to enter tensors; none: all slices do."""
        if self.keep in (*self.classes, *self.unions):
            return self.unions.get(self.keep, [self.keep])
        return list(self.classes) if self.keep == "lesion" else []


class OwnScans(Strict):
    """Scans of the user's own, described where they are used; the data set has the name of that file."""

    folder: Folder = Field(description="Folder in the nnU-Net or MSD layout, with dataset.json.")
    classes: Annotated[list[Name], Once] | None = Field(None, description="Labels of dataset.json to use; absent: all.")
    unions: dict[Name, list[Name]] = Field({}, description="Name -> classes it joins.")
    window: Annotated[tuple[Finite, Finite], AfterValidator(_rising)] = Field(
        (-1250, 250), description="HU window mapped to 0..255 where voxels are raw HU."
    )
    crop: Crop | None = None
    keep: Name = Field("all", description="Slices that enter tensors: all, lesion, or a class or union that must show.")
    lungs: LungSource = "threshold"


# ---- runs ------------------------------------------------------------------------------------------------------------


class Prior(Strict):
    """A map of each slice by another run's model of the same fold and seed (Inf-Net, section III-D).

    That model learned from the same training slices, so that its maps of them are better than those of test slices.
    """

    run: RunId = Field(description="A run of one class, with the same data set and split.")
    train: Literal["predicted", "truth"] = Field(
        "predicted", description="What stands in for the map of a training slice: nothing, or that class's truth."
    )


class Input(Strict):
    """What a network sees."""

    size: Pixels = 512
    mode: InputMode = "slice+lung"
    prior: Prior | None = Field(
        None, exclude_if=lambda prior: prior is None, description="Absent: none. Else a last channel with this map."
    )

    @property
    def channels(self) -> int:
        """Return the number of input channels."""
        return (2 if self.mode == "slice+lung" else 1) + (self.prior is not None)

    @property
    def in_words(self) -> str:
        """Return what the channels show, as ``slice+prior``."""
        return f"{self.mode}+prior" if self.prior else self.mode


class Optimizer(Strict):
    """Optimizer and step schedule: lr * factor ** (epoch // step); step 0: lr throughout."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Finite = Field(1e-3, gt=0)
    weight_decay: Finite = Field(0.0, ge=0)
    momentum: Finite = Field(0.0, ge=0, lt=1)
    step: Count = 0
    factor: Finite = Field(0.1, ge=0)
    collapse: bool = Field(False, description="The factor of each epoch multiplies what the last one left.")
    clamp: Finite = Field(0.0, ge=0, description="Each component of a gradient is cut to +-clamp; 0: none is.")
    recreate: bool = Field(False, description="A new optimizer each epoch: moments are lost.")


class Pool(Strict):
    """The slices without labels that a semi-supervised method draws from.

    Of another data set all slices, labelled or not; of the run's own data set those without labels.
    """

    dataset: Name
    without: list[str] = Field([], description="Cases to leave out, as those of patients who are tested.")


class Training(Strict):
    """What every method has: epochs, batches and the optimizer of one training.

    EPOCHS, BATCHES and RATES name the settings that a preset's epochs, batch and lr change.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs",)
    BATCHES: ClassVar[tuple[str, ...]] = ("batch",)
    RATES: ClassVar[tuple[str, ...]] = ()
    ONE_CLASS: ClassVar[bool] = False  # whether the method knows one class and background only

    epochs: Positive = 150
    batch: Positive = 2
    accumulate: Positive = 1
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Once] = Field(
        (1.0,), min_length=1, description="Each batch is learned at each of these sizes, rounded to 32 pixels, in turn."
    )
    optimizer: Optimizer = Optimizer()
    validate_every: Positive = 1
    slices_per_epoch: Count = Field(0, description="At most so many, drawn anew each epoch; 0: all.")

    @property
    def stages(self) -> list[str]:
        """Return the jobs that come before the last one, in order; each needs the one before it."""
        return []

    @property
    def most_epochs(self) -> int:
        """Return the epochs of the longest job."""
        return self.epochs


class Supervised(Training):
    """Plain training on labelled slices; the best epoch by validation DSC is kept."""

    method: Literal["supervised"] = "supervised"


class SelfTraining(Training):
    """Rounds of pseudo-labelling: each labels more of the pool and trains a new model (SSA-Net, section 3.3).

    ``trust`` is eq. 9's threshold: a pixel that no class reaches is background; null takes the likeliest class.
    """

    method: Literal["self_training"]
    pool: Pool
    rounds: int = Field(5, ge=1, le=99, description="At most so many after the first training.")
    take: Finite = Field(0.2, gt=0, le=1, description="Share of the pool that joins in each round.")
    trust: Annotated[float, Field(gt=0, lt=1)] | None = 0.95
    warm_start: bool = Field(False, description="Each round goes on from the last model, not from new weights.")
    start: RunId | None = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return round0, labels1, round1, labels2, ...: a training and a labelling by turns."""
        later = [f"{kind}{k}" for k in range(1, self.rounds + 1) for kind in ("labels", "round")]
        return ["round0", *later]


class Propagation(Training):
    """Label propagation in small steps, then training on what was labelled (Inf-Net, algorithm 1: Semi-Inf-Net).

    A model of the labelled slices labels the next ``k`` slices of the shuffled pool, softly and for good, and learns
    from all that have labels by then; and so on. A new model learns the pseudo-labelled slices with the settings of
    any training, ``epochs``, ``batch``, ``optimizer``; at last the labelled ones refine it, ``finetune_``.
    """

    EPOCHS: ClassVar[tuple[str, ...]] = ("epochs", "step_epochs", "finetune_epochs")
    BATCHES: ClassVar[tuple[str, ...]] = ("batch", "step_batch", "finetune_batch")
    RATES: ClassVar[tuple[str, ...]] = ("step_lr", "finetune_lr")
    ONE_CLASS: ClassVar[bool] = True

    method: Literal["propagation"]
    pool: Pool
    k: Positive = Field(5, description="Slices that a step labels.")
    steps: Positive | None = Field(None, description="At most so many; null: until the pool is used up.")
    step_epochs: Positive = 10
    step_batch: Positive = 16
    step_lr: Finite = Field(3e-4, gt=0, description="Of all steps, without decay.")
    blocks: int = Field(8, ge=1, le=99, description="Jobs that the steps are cut into, of ten steps or more.")
    with_labelled: bool = Field(False, description="The labelled slices are learned with the pseudo-labelled ones.")
    finetune_epochs: Positive = 100
    finetune_batch: Positive = 16
    finetune_lr: Finite = Field(1e-4, gt=0)
    start: RunId | None = Field(None, description="Supervised run with equal settings, whose model is the first.")

    @property
    def stages(self) -> list[str]:
        """Return first, block1, block2, ..., pretrain; the last job refines."""
        blocks = min(self.blocks, -(-self.steps // 10)) if self.steps else self.blocks
        return ["first", *(f"block{b}" for b in range(1, blocks + 1)), "pretrain"]

    @property
    def most_epochs(self) -> int:
        """Return the epochs of the longest job; without a number of steps it has the 320 of the paper."""
        steps = -(-(self.steps or 320) // (len(self.stages) - 2))
        return max(self.epochs, self.finetune_epochs, steps * self.step_epochs)


class Released(Training):
    """Nothing is trained: others released their maps of the test slices, and these are the predictions.

    A run of this method has no network and no losses. Phantoms have no such maps, so in demo mode it is not made.
    """

    method: Literal["released"]
    maps: Name = Field(description="The data set that holds the maps.")
    folders: dict[Name, str] = Field(description="Class -> folder of its maps.")
    epochs: int = Field(0, ge=0, le=0)

    @model_serializer
    def _decisive(self) -> dict[str, Any]:
        """Return what decides the result: nothing of a training does."""
        return {"method": self.method, "maps": self.maps, "folders": self.folders}


Method = Annotated[
    Annotated[Supervised, Tag("supervised")]
    | Annotated[SelfTraining, Tag("self_training")]
    | Annotated[Propagation, Tag("propagation")]
    | Annotated[Released, Tag("released")],
    _told_by("method", "supervised"),
]


class RunSpec(Strict):
    """A resolved run: everything that decides its result, and nothing else."""

    dataset: Name
    split: Name
    lungs: LungSource = "none"
    classes: list[Name] = Field(min_length=1, description="Foreground classes. One: sigmoid; more: softmax.")
    input: Input = Input()
    net: dict[str, Any] = Field(description="name, and the arguments of that network's class; none for others' maps.")
    losses: dict[str, dict[str, Any]] = Field(description="Loss -> weight, from_epoch, and its function's arguments.")
    train: Method = Supervised()
    threads: Positive = 1
    values: dict[str, tuple[int, ...]] = Field({}, description="Filled in: the label values that each class joins.")

    @property
    def pool(self) -> Pool | None:
        """Return the unlabelled slices that the method uses."""
        return getattr(self.train, "pool", None)

    @property
    def stages(self) -> list[str]:
        """Return the jobs that come before the last one, in order: that of the prior, then the method's own."""
        return [*(["prior"] if self.input.prior else []), *self.train.stages]

    @property
    def maps(self) -> str | None:
        """Return the data set of others' maps that are the predictions; None where a network of ours predicts."""
        return getattr(self.train, "maps", None)


# ---- papers ----------------------------------------------------------------------------------------------------------


class Deviation(Strict):
    """A place where the released code differs from the text; ``key`` is the setting it decides."""

    key: str
    runs: list[Name] | None = Field(None, description="The runs that have this setting; absent: all.")
    described: Any
    released: Any
    why: str


ShownClass = Annotated[
    str | None, Field(alias="class", description="The class whose scores count; absent: the average over classes.")
]


class Row(Strict):
    """One table row: a run and what the paper printed for it."""

    label: str
    run: RunId | None = None
    cls: ShownClass = None
    printed: dict[str, Finite | None] = {}


class ResultTable(Strict):
    """A table of scores."""

    kind: Literal["results"] = "results"
    caption: str
    protocol: Name
    metrics: dict[str, str] = Field(description="Column heading -> metric of the protocol.")
    rows: list[Row]
    notes: list[str] = []


class DatasetRow(Strict):
    """One row of a table of data sets."""

    label: str
    datasets: list[Name] = Field(min_length=1, description="Data sets that the row adds up.")
    classes: list[str] = Field(min_length=1, description="Classes that the paper uses of them.")
    lesion: str = Field("infection", description="Class or union that makes a slice count.")
    printed: dict[str, Finite | None] = {}


class DatasetTable(Strict):
    """A table that counts slices, classes and pixel shares of data sets."""

    kind: Literal["datasets"]
    caption: str
    columns: dict[str, str] = Field(description="Heading -> slices, classes, lung, or a class whose share is meant.")
    rows: list[DatasetRow]
    notes: list[str] = []


Table = Annotated[
    Annotated[ResultTable, Tag("results")] | Annotated[DatasetTable, Tag("datasets")], _told_by("kind", "results")
]


class Group(Strict):
    """Rows of a qualitative figure: slices of one data set with the same runs."""

    label: str = Field("", description="Stands beside the rows.")
    runs: dict[str, RunId] = Field(min_length=1, description="Column heading -> run.")
    slices: int = Field(2, ge=1, le=20)
    fold: Count = 0


class QualitativeFigure(Strict):
    """Slices by rows; CT, methods and truth by columns."""

    kind: Literal["qualitative"] = "qualitative"
    caption: str
    groups: list[Group] = Field(min_length=1)
    shares: bool = Field(False, description="A last column of bars: each class's share of the slice.")

    @property
    def runs(self) -> list[str]:
        """Return the runs that the figure shows."""
        return [run for group in self.groups for run in group.runs.values()]

    @property
    def datasets(self) -> list[str]:
        """Return the data sets that the figure shows without a run: none."""
        return []


class ExampleGroup(Strict):
    """Rows of a figure of examples: slices of one data set."""

    label: str = Field("", description="Stands beside the rows.")
    dataset: Name
    classes: Annotated[list[str], Once] = Field(min_length=1)
    slices: int = Field(2, ge=1, le=20)


class ExamplesFigure(Strict):
    """Slices by rows; CT, true lesions and each class's share of the slice by columns."""

    kind: Literal["examples"]
    caption: str
    groups: list[ExampleGroup] = Field(min_length=1)

    @property
    def runs(self) -> list[str]:
        """Return the runs that the figure shows: none."""
        return []

    @property
    def datasets(self) -> list[str]:
        """Return the data sets that the figure shows."""
        return [group.dataset for group in self.groups]


Figure = Annotated[
    Annotated[QualitativeFigure, Tag("qualitative")] | Annotated[ExamplesFigure, Tag("examples")],
    _told_by("kind", "qualitative"),
]


class Claim(Strict):
    """A sentence of a paper that our runs can test: ``better`` scores better than ``than``.

    With ``beyond: [a, b]`` it does so by more than a scores better than b: "A helps only together with B".
    """

    id: str = Field(pattern="^[a-z0-9-]+$")
    says: str = Field(description="What the paper claims, in our words.")
    where: str = Field(description="Section and table of the paper.")
    better: RunId = Field(description="A run.")
    than: RunId = Field(description="A run.")
    beyond: tuple[RunId, RunId] | None = Field(None, description="Two runs whose difference has to be exceeded.")
    protocol: Name
    metric: Name
    cls: ShownClass = None
    by: Finite | None = Field(None, description="The printed difference; above zero is in the claim's favour.")

    @property
    def runs(self) -> list[str]:
        """Return the runs compared: better, than, and those of ``beyond``."""
        return [self.better, self.than, *(self.beyond or ())]

    @property
    def runs_in_words(self) -> str:
        """Return which runs are compared, as ``m3 over m1``."""
        beyond = f", beyond {self.beyond[0]} over {self.beyond[1]}" if self.beyond else ""
        return f"{self.better} over {self.than}{beyond}"


class PaperHead(Strict):
    """Which paper, and where its code is."""

    title: str
    authors: str = ""
    venue: str = ""
    doi: str = ""
    code: str | None = None

    @property
    def cited(self) -> str:
        """Return authors and venue; the title where there are none, as of work of one's own."""
        return f"{self.authors} {self.venue}".strip() or self.title


class Paper(Strict):
    """``workflow/papers/NAME.yaml``; ``defaults`` and ``runs`` are overrides of a RunSpec."""

    paper: PaperHead
    dataset: OwnScans | None = Field(None, description="Scans of your own: no file in workflow/datasets is needed.")
    defaults: dict[str, Any]
    deviations: dict[str, Deviation] = {}
    runs: dict[Name, dict[str, Any] | None] = {}
    masks: Annotated[list[Name], Once] | None = Field(
        None, description="Runs whose masks of whole scans are wanted as files; absent: all of own scans, else none."
    )
    tables: dict[Name, Table] = {}
    figures: dict[Name, Figure] = {}
    claims: list[Claim] = []


# ---- protocols and presets -------------------------------------------------------------------------------------------


class Metric(Strict):
    """One metric of a protocol."""

    title: str
    better: Literal["higher", "lower"]
    digits: int = Field(4, ge=0, le=12)
    unit: str = ""
    about: str
    measure: str | None = Field(None, description="What computes it (metrics/pair.py); absent: the metric's own name.")
    not_comparable: str | None = Field(None, description="Why the printed column cannot be compared with ours.")


class Protocol(Strict):
    """``workflow/protocols/NAME.yaml``: a metric convention."""

    title: str
    about: str
    engine: Literal["masks", "toolbox"]
    threshold: Finite = Field(0.5, gt=0, le=1)
    unit: Literal["slice", "case"] = Field("slice", description="What a table averages over.")
    metrics: dict[Name, Metric]
    tolerance: Finite = Field(3.0, ge=0, description="Of the surface Dice, in px or mm.")
    spacing: Literal["px", "mm"] = Field("px", description="mm: lengths in mm where the spacing is known, else in px.")
    cases: Literal["mean", "volume"] = Field("mean", description="A case's score: its slices' mean, or 3-D.")


class Preset(Strict):
    """``workflow/presets/NAME.yaml``: scales a run, never a method. Absent: as the paper prints it."""

    about: str
    size: Pixels | None = None
    width: Finite | None = Field(None, gt=0, le=4)
    epochs: Finite = Field(1.0, gt=0, le=100, description="Factor on every setting counted in epochs.")
    batch: Positive | None = None
    accumulate: Positive | None = None
    validate_every: Positive | None = None
    slices_per_epoch: Count | None = None
    rounds: Positive | None = Field(None, description="At most so many rounds of pseudo labels.")
    steps: Positive | None = Field(None, description="At most so many steps of label propagation.")
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] | None = Field(
        None, min_length=1, description="In place of the scales of a training that has several."
    )
    folds: Positive | None = Field(None, description="At most so many folds, the first ones.")
    lr: Finite = Field(1.0, gt=0, le=100, description="Factor on the learning rate.")
    step: Count | None = Field(None, description="Epochs until the rate decays; 0: never.")
    threads: Positive = 4


# ---- loading ---------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)
TYPE = re.compile(r"\[key\]|[a-z-]+\[.+\]")  # these, as list[int], stand in pydantic's paths but are no keys
TAGS = {"tables": 2, "figures": 2, "train": 1}  # nor are the names of a union's members, which stand in such a place


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a key that stands twice is an error, not the last one's silent victory."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; raise for a repeated key."""
        seen = set()
        for key, _ in node.value:
            if (name := str(key.value)) in seen:
                raise yaml.constructor.ConstructorError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(name)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises UserError when the file is missing, unreadable or not a mapping."""
    try:
        value = yaml.load(path.read_text(), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: cannot be read ({e})") from e
    except Exception as e:  # values such as "!!timestamp x" make PyYAML raise almost anything
        mark = getattr(e, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: not valid YAML{at}: {getattr(e, 'problem', e)}") from e
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected keys and values, found {type(value).__name__}")
    return value


def parse(model: type[M], value: Any, where: str) -> M:
    """Validate ``value``; ``where`` names the file in the message. Raises UserError."""
    try:
        return model.model_validate(value)
    except ValidationError as e:
        raise UserError(f"{where}: {explain(model, e)}") from None


def load(model: type[M], path: Path) -> M:
    """Read and validate one YAML file. Raises UserError with one line."""
    return parse(model, read_yaml(path), str(path))


FILES: dict[str, type[BaseModel]] = {
    "config": Config,
    "dataset": Dataset,
    "paper": Paper,
    "preset": Preset,
    "protocol": Protocol,
}


def json_schemas() -> dict[str, str]:
    """Return file name -> JSON schema of each kind of YAML file, as ``workflow/schemas`` holds them for editors."""
    return {f"{name}.json": json.dumps(model.model_json_schema(), indent=1) + "\n" for name, model in FILES.items()}


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem as ``path.to.key: what is wrong; the nearest legal name``."""
    first = error.errors(include_url=False)[0]
    loc = [str(part) for part in first["loc"] if not TYPE.fullmatch(str(part))]
    if loc and (at := TAGS.get(loc[0])):
        del loc[at : at + 1]
    path = ".".join(loc) or "(top level)"
    if first["type"] == "extra_forbidden":
        keys = _keys(model, [str(p) for p in first["loc"][:-1]])
        return f"{path}: unknown key; {nearest(loc[-1], keys)}"
    if first["type"] == "missing":
        return f"{path}: missing"
    if first["type"] == "union_tag_invalid":
        ctx = typing.cast(dict[str, str], first["ctx"])
        key = ctx["discriminator"].removesuffix("()")
        tags = [tag.strip(" '") for tag in ctx["expected_tags"].split(",")]
        return f"{path}.{key}: unknown value {ctx['tag']!r}; {nearest(ctx['tag'], tags)}"
    if first["type"] == "literal_error":
        legal = typing.cast(dict[str, str], first.get("ctx", {})).get("expected", "")
        names = [name.strip(" '") for name in legal.replace(" or ", ",").split(",")]
        return f"{path}: unknown value {first['input']!r}; {nearest(str(first['input']), names)}"
    if first["type"] == "string_pattern_mismatch":
        return f"{path}: unusable name {str(first['input'])[:60]!r}; use letters, digits, dot, dash and underscore"
    said = first["msg"].removeprefix("Value error, ")
    return f"{path}: {said[0].lower()}{said[1:]} (found {redacted(str(first['input']))[:60]!r})"


def _keys(model: Any, loc: list[str]) -> list[str]:
    """Return the legal keys of the model found at ``loc`` below ``model``."""
    for name in loc:
        candidates = _models(model)
        owner = next((c for c in candidates if isinstance(c, type) and name in c.model_fields), None)
        model = owner.model_fields[name].annotation if owner else model
    return [field.alias or key for candidate in _models(model) for key, field in candidate.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named anywhere inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]
