"""What a folder of raw files holds by its record, and that nothing goes which the record does not list."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.data import raw


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return raw/ with a.txt, part/b.txt and their record."""
    (tmp_path / "raw" / "part").mkdir(parents=True)
    (tmp_path / "raw" / "a.txt").write_text("a")
    (tmp_path / "raw" / "part" / "b.txt").write_text("b")
    listed = {"a.txt": sha256("a"), "part/b.txt": sha256("b")}
    raw.write(tmp_path / "raw", {"files": {}, "tree": listed})
    return tmp_path / "raw"


def listed(folder: Path) -> dict[str, str]:
    found: dict[str, str] = raw.recorded(folder / raw.RECORD)["tree"]
    return found


def test_the_tree_leaves_out_the_record_and_files_in_the_making(folder: Path) -> None:
    (folder / ".b.part").write_text("half")
    assert raw.tree(folder) == listed(folder)
    (folder / "part" / raw.RECORD).write_text("somebody's")
    assert set(raw.tree(folder)) == {"a.txt", "part/b.txt", "part/fetched.json"}


def test_a_folder_is_as_recorded_or_not(folder: Path) -> None:
    for where in (folder, folder / "part"):
        assert raw.as_recorded(where, folder, listed(folder))
    (folder / "a.txt").write_text("other")
    assert not raw.as_recorded(folder, folder, listed(folder))
    assert raw.as_recorded(folder / "part", folder, listed(folder))
    (folder / "part" / "c.txt").write_text("c")
    assert not raw.as_recorded(folder / "part", folder, listed(folder))
    (folder / "part" / "c.txt").unlink()
    (folder / "part" / "b.txt").unlink()
    assert not raw.as_recorded(folder / "part", folder, listed(folder))


def test_a_folder_as_recorded_makes_way(folder: Path) -> None:
    assert raw.make_way(folder / "part", folder, listed(folder)) is None
    assert not (folder / "part").exists()
    assert raw.make_way(folder, folder, listed(folder)) is None  # its own record does not keep it
    assert not folder.exists()
    assert raw.make_way(folder, folder, {}) is None


@pytest.mark.parametrize("change", ["added", "edited", "a link", "a record of a name"])
def test_a_folder_with_somebodys_work_is_set_aside_under_the_next_free_name(change: str, folder: Path) -> None:
    part = folder / "part"
    for number in (1, 2):
        inside = listed(folder)
        if change == "added":
            (part / "mine.txt").write_text("mine")
        elif change == "edited":
            (part / "b.txt").write_text("mine")
        elif change == "a link":
            (part / "b.txt").unlink(missing_ok=True)
            (part / "b.txt").symlink_to(folder / "a.txt")
            inside["part/b.txt"] = sha256("a")
        else:  # the record's name counts as ours beside the record only
            (part / raw.RECORD).write_text("mine")
        assert raw.make_way(part, folder, inside) == folder / f"part.kept-{number}"
        assert not part.exists()
        part.mkdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["part", "part.kept-1", "part.kept-2"]


def test_a_file_of_the_top_folder_that_no_record_lists_is_somebodys(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    assert raw.make_way(folder, folder, listed(folder)) == folder.with_name("raw.kept-1")
    assert (folder.with_name("raw.kept-1") / "mine.txt").read_text() == "mine"


def test_files_that_were_edited_or_removed_are_named(folder: Path) -> None:
    assert raw.verify(folder) == folder
    (folder / "part" / "b.txt").write_text("edited")
    with pytest.raises(UserError, match=r"raw/part/b\.txt"):
        raw.verify(folder)
    (folder / "part" / "b.txt").write_text("b")
    (folder / "a.txt").unlink()
    with pytest.raises(UserError, match=r"raw/a\.txt"):
        raw.verify(folder)


def test_the_copy_of_the_record_serves_where_the_record_is_gone_or_damaged(folder: Path) -> None:
    (folder / raw.RECORD).unlink()
    assert raw.recorded(folder / raw.RECORD)["tree"]["a.txt"] == sha256("a")
    (folder / raw.RECORD).write_text('{"files": "none"}')
    assert raw.recorded(folder / raw.RECORD)["tree"]["a.txt"] == sha256("a")
    (folder / raw.KEPT).unlink()
    assert raw.recorded(folder / raw.RECORD) == {}
