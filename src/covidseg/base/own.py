"""Which files in a folder are ours: in a folder that people use too, nothing else is ever replaced or removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from covidseg.base.errors import UserError
from covidseg.base.files import replacing, sha256

JOURNAL = "written.jsonl"


class OwnFiles:
    """The files that we wrote into ``folder``, with their hashes, listed in the journal ``written.jsonl`` there.

    A name is entered before its file is written, without a hash, and again afterwards with it, so that a file of a
    process that was killed in between is known to be ours. The last line of a name counts. Snakemake does not know the
    journal and leaves it when it removes a job's outputs.
    """

    def __init__(self, folder: Path) -> None:
        """Read the journal; lines that a kill cut off are ignored."""
        self.folder, self.path = folder, folder / JOURNAL
        self.hashes: dict[str, str | None] = {}
        for line in self.path.read_text("utf-8", "replace").splitlines() if self.path.is_file() else []:
            try:
                entry = json.loads(line)
                self.hashes[str(entry["name"])] = entry["sha256"] and str(entry["sha256"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue

    def ours(self, name: str) -> bool:
        """Return whether a file is as we wrote it."""
        path = self.folder / name
        if name not in self.hashes or Path(name).name != name or path.is_symlink() or not path.is_file():
            return False
        return self.hashes[name] in (None, sha256(path))

    def claim(self, name: str) -> Path:
        """Return the path of a file that is to be written now.

        Raises UserError when a file of this name is there that we did not write, or that was changed since.
        """
        path = self.folder / name
        if (path.exists() or path.is_symlink()) and not self.ours(name):
            raise UserError(f"{path}: not as we wrote it, or not ours; move it to another folder and run again")
        self._enter(name, None)
        return path

    def add(self, name: str) -> str:
        """Enter a file that has been written; return its sha256."""
        value = sha256(self.folder / name)
        self._enter(name, value)
        return value

    def keep(self, names: Collection[str], say: Callable[[str], None]) -> None:
        """Remove our other files; one that was changed since we wrote it stays, and is said."""
        for name in [name for name in self.hashes if name not in names]:
            if self.ours(name):
                (self.folder / name).unlink()
            elif (self.folder / name).exists():
                say(f"{self.folder / name}: changed since we wrote it, left as it is")
            del self.hashes[name]
        with replacing(self.path) as temporary:
            temporary.write_text("".join(map(_line, self.hashes.items())), "utf-8")

    def _enter(self, name: str, value: str | None) -> None:
        self.hashes[name] = value
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(_line((name, value)))


def _line(entry: tuple[str, str | None]) -> str:
    return json.dumps({"name": entry[0], "sha256": entry[1]}) + "\n"
