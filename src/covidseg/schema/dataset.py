"""``workflow/datasets``: where data sets come from and how they are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from covidseg.schema.base import (
    Address,
    Count,
    Finite,
    Folder,
    Inside,
    LungSource,
    Name,
    Pixels,
    Positive,
    Share,
    Strict,
    Unique,
    rising,
)


class Source(Strict):
    """One file or folder of a data set: its addresses and its hash."""

    name: Inside = Field(description="Path below the data set's raw folder, and below the mirror.")
    urls: list[Address] = []
    sha256: str | None = None
    md5: str | None = None
    manifest: Inside | None = Field(None, description="CSV beside the data set's YAML with one file,sha256 per line.")
    unpack: bool = False
    optional: bool = Field(False, description="If it cannot be obtained, it is left out, and rows that need it say so.")


class Phantom(Strict):
    """How the phantom of a data set is generated."""

    seed: Count
    size: Pixels = Field(description="Width and height of a slice; larger ones follow from the data set's quirks.")
    slices: Positive = Field(1, description="Slices per volume.")
    healthy: Count = Field(
        0,
        exclude_if=lambda count: count == 0,
        description="More slices per volume, without lesion: half of them in its middle, half at its ends.",
    )
    lung: Share = Field(description="Share of lung pixels over the slices with lesion.")
    ggo: Share = Field(description="Share of ground-glass pixels over the slices with lesion.")
    consolidation: Share = Field(description="Share of consolidation pixels over the slices with lesion.")
    days: list[Count] = Field(
        [], exclude_if=lambda days: not days, description="importer series: the days on which each patient is scanned."
    )
    courses: list[list[Annotated[float, Field(gt=0, le=1)]]] = Field(
        [],
        exclude_if=lambda courses: not courses,
        description="importer series: per patient, the size of the lesions on each day, relative to the largest.",
    )
    noise: Finite = Field(
        38.0, gt=0, exclude_if=lambda noise: noise == 38, description="Deviation of the scanner's noise in HU."
    )

    @model_validator(mode="after")
    def _one_course_per_day(self) -> Phantom:
        if any(len(course) != len(self.days) for course in self.courses):
            raise ValueError("courses: each needs one number per entry of days")
        return self


class Crop(Strict):
    """Cut larger slices to ``size`` round the lungs' centre of gravity (SSA-Net, section 4.2)."""

    size: Pixels


LabelValue = Annotated[int, Field(ge=1, le=255, strict=True)]


def _one_name_each(classes: dict[str, int]) -> dict[str, int]:
    """Return the classes. Raises ValueError for two names of one value."""
    named: dict[int, str] = {}
    for name, value in classes.items():
        if (other := named.setdefault(value, name)) != name:
            raise ValueError(f"{other} and {name} are both {value}; give each a value of its own")
    return classes


class Dataset(Strict):
    """``workflow/datasets/NAME.yaml``."""

    title: str
    about: str
    licence: str
    importer: str
    sources: list[Source] = []
    classes: Annotated[dict[Name, LabelValue], AfterValidator(_one_name_each)] = Field(
        description="Class name -> value in the canonical label map."
    )
    unions: dict[Name, list[Name]] = Field({}, description="Name -> classes it joins.")
    window: Annotated[tuple[Finite, Finite], AfterValidator(rising)] | None = Field(
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
    stand_in: Name | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="Data set used in its place, as it is not public; stand_ins in config.yaml can name another.",
    )
    image_labels: Inside | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="importer image_labels: the CSV in the folder that says of each image whether it shows the class.",
    )
    joins: Annotated[list[Name], Unique] = Field(
        [], description="importer joined: the data sets it consists of; its classes are those of each."
    )
    files_of: Name | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="The data set whose downloaded files are read in another way; its phantom has files of its own.",
    )

    @property
    def kept(self) -> list[str]:
        """Return the classes of which a labelled slice must show at least one to enter tensors; empty: no condition."""
        if self.keep in (*self.classes, *self.unions):
            return self.unions.get(self.keep, [self.keep])
        return list(self.classes) if self.keep == "lesion" else []


class OwnScans(Strict):
    """Scans of the user's own, described where they are used; the data set has the name of that file."""

    folder: Folder = Field(description="Folder in the nnU-Net or MSD layout, with dataset.json; or of images.")
    image_labels: Inside | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="A CSV in a folder of images without masks: which of them show the class (columns image, label).",
    )
    classes: Annotated[list[Name], Unique] | None = Field(
        None, description="Labels of dataset.json to use; absent: all. Of images: the one class, infection if absent."
    )
    unions: dict[Name, list[Name]] = Field({}, description="Name -> classes it joins.")
    window: Annotated[tuple[Finite, Finite], AfterValidator(rising)] = Field(
        (-1250, 250), description="HU window mapped to 0..255 where voxels are raw HU."
    )
    crop: Crop | None = None
    keep: Name = Field("all", description="Slices that enter tensors: all, lesion, or a class or union that must show.")
    lungs: LungSource | None = Field(None, description="Absent: threshold; for images: none.")
