"""Folders that people use too: only what we wrote is replaced or removed."""

from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.base.own import JOURNAL, OwnFiles


def write(own: OwnFiles, name: str, text: str) -> None:
    own.claim(name).write_text(text)
    own.add(name)


def left(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.name != JOURNAL}


def test_only_our_own_unchanged_files_are_removed(tmp_path: Path) -> None:
    own = OwnFiles(tmp_path)
    for name in ("a.nii.gz", "b.nii.gz", "c.nii.gz"):
        write(own, name, name)
    (tmp_path / "a-corrected.nii.gz").write_text("a radiologist's")
    (tmp_path / "c.nii.gz").write_text("corrected in its place")
    said: list[str] = []
    OwnFiles(tmp_path).keep(["a.nii.gz"], said.append)
    assert left(tmp_path) == {
        "a-corrected.nii.gz": "a radiologist's",
        "a.nii.gz": "a.nii.gz",
        "c.nii.gz": "corrected in its place",
    }
    assert said == [f"{tmp_path / 'c.nii.gz'}: changed since we wrote it, left as it is"]


@pytest.mark.parametrize("text", ["another's", "ours, corrected"])
def test_a_file_that_is_not_as_we_wrote_it_is_not_replaced(text: str, tmp_path: Path) -> None:
    if text.startswith("ours"):
        write(OwnFiles(tmp_path), "a.png", "ours")
    (tmp_path / "a.png").write_text(text)
    with pytest.raises(UserError, match=r"a\.png: not as we wrote it, or not ours; move it to another folder and run"):
        OwnFiles(tmp_path).claim("a.png")
    assert (tmp_path / "a.png").read_text() == text


def test_what_was_written_is_known_at_once_and_by_its_hash(tmp_path: Path) -> None:
    own = OwnFiles(tmp_path)
    own.claim("a.png").write_text("a")
    assert own.add("a.png") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert own.ours("a.png")
    (tmp_path / "a.png").write_text("b")
    assert not own.ours("a.png")


def test_a_file_of_a_killed_process_is_ours(tmp_path: Path) -> None:
    OwnFiles(tmp_path).claim("a.png").write_text("half of what we")
    write(OwnFiles(tmp_path), "a.png", "whole")
    with open(tmp_path / JOURNAL, "a") as f:
        f.write('{"name": "b.png", "sha')
    assert OwnFiles(tmp_path).ours("a.png")
    assert not OwnFiles(tmp_path).ours("b.png")


def test_a_link_or_another_folder_is_never_ours(tmp_path: Path) -> None:
    folder, outside = tmp_path / "masks", tmp_path / "outside.png"
    outside.write_text("x")
    own = OwnFiles(folder)
    write(own, "a.png", "x")
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(outside)
    with open(folder / JOURNAL, "a") as f:
        f.write('{"name": "../outside.png", "sha256": null}\n')
    OwnFiles(folder).keep([], print)
    assert outside.read_text() == "x"
    assert (folder / "a.png").is_symlink()
