"""What the models of all files share: names, numbers and folders that are refused when they cannot work."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field

from covidseg.base.errors import redacted
from covidseg.base.names import PLAIN

Mode = Literal["demo", "paper"]
Follow = Literal["described", "released"]
if TYPE_CHECKING:
    LungSource = str
else:  # read from the folder, because importing covidseg.lungs would load numpy and the data stores
    LungSource = Literal[tuple(sorted(p.stem for p in Path(__file__).parents[1].glob("lungs/sources/[!_]*.py")))]
InputMode = Literal["slice", "slice+lung", "masked"]
Init = Literal["imagenet", "random"]
Saliency = Literal["poolnet", "contrast", "lungs"]


# Names become parts of paths, of commands and of table rows, see base.names.
Name = Annotated[str, Field(pattern=f"^{PLAIN}$")]
RunId = Annotated[str, Field(pattern=f"^({PLAIN}/)?{PLAIN}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
T = TypeVar("T")


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("each may be named only once")
    return values


def rising(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError("the first HU must be below the second")
    return window


def _folder(path: Path) -> Path:
    """Refuse what is no folder, and braces: in the path of a rule's output they would be a wildcard.

    A leading ~ becomes the user's home folder.
    """
    path = Path(os.path.expanduser(path))  # which leaves an unknown home as it is
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


Unique = AfterValidator(_unique)
Folder = Annotated[Path, AfterValidator(_folder)]
Inside = Annotated[str, AfterValidator(_inside)]
Address = Annotated[str, AfterValidator(_address)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Precision = Literal["auto", "float32", "bfloat16"]
Pixels = Annotated[int, Field(ge=16, le=8192)]
ShownClass = Annotated[
    str | None, Field(alias="class", description="The class whose scores count; absent: the average over classes.")
]


def discriminated_by(key: str, default: str) -> Discriminator:
    """Return a pydantic discriminator by the value of a key; ``default`` is the value where the key is absent."""

    def tag(value: Any) -> str:
        return str(value.get(key, default) if isinstance(value, dict) else getattr(value, key, default))

    tag.__name__ = key  # what a message calls it
    return Discriminator(tag)


class Strict(BaseModel):
    """A model that refuses unknown keys and cannot change once made."""

    # A model's validator is built at its first use: those that only stand inside others never need one of their own,
    # and every process of a run loads these models.
    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, protected_namespaces=(), serialize_by_alias=True
    )
