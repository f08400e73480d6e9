"""What a message about a file says to do: after it was done, the same step succeeds."""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.data.fetch import fetch, weights
from covidseg.nets import published
from tests.unit.data.small import own

Step = Callable[[], object]
Case = tuple[Step, str, Callable[[Path], object]]


def archive() -> bytes:
    """Return a zip file with one scan."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("scan.nii", "voxels " * 50)
    return content.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetching(tmp_path: Path, **source: object) -> Step:
    return lambda: fetch("mine", own(sources=[source]), tmp_path / "raw", tmp_path / "mirror", tmp_path)


def archive_of_the_mirror(tmp_path: Path) -> Case:
    """The copy in ``raw`` is deleted, and the mirror's file corrected."""
    origin = put(tmp_path / "mirror/mine/scans.zip", archive()[:-40])

    def repair(named: Path) -> None:
        assert named != origin
        named.unlink(missing_ok=True)
        origin.write_bytes(archive())

    return fetching(tmp_path, name="scans.zip", unpack=True), "delete it and fetch again", repair


def archive_in_place(tmp_path: Path) -> Case:
    """An archive that was whole at its first use was cut short since."""
    step = fetching(tmp_path, name="scans.zip", unpack=True)
    put(tmp_path / "mirror/mine/scans.zip", archive())
    step()
    (tmp_path / "mirror/mine/scans.zip").unlink()
    put(tmp_path / "raw/scans.zip", archive()[:-40])
    shutil.rmtree(tmp_path / "raw/scans")

    return (
        step,
        "set mirror: to a folder that holds it as mine/scans.zip",
        lambda named: put(tmp_path / "mirror/mine/scans.zip", archive()),
    )


def other_than_at_first_use(tmp_path: Path) -> Case:
    step = fetching(tmp_path, name="a.bin")
    put(tmp_path / "mirror/mine/a.bin", b"one")
    step()
    put(tmp_path / "mirror/mine/a.bin", b"two")
    (tmp_path / "raw/a.bin").unlink()

    def repair(named: Path) -> None:
        for name in ("fetched.json", ".fetched.json"):
            (tmp_path / "raw" / name).unlink()

    return step, f"delete {tmp_path}/raw/fetched.json and .fetched.json beside it", repair


def link(tmp_path: Path) -> Case:
    put(tmp_path / "mirror/mine/set/a.bin", b"scan")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/set").symlink_to(tmp_path)
    return fetching(tmp_path, name="set/a.bin"), "is a link; remove it", Path.unlink


def pipe(tmp_path: Path) -> Case:
    (tmp_path / "mirror/mine/ct").mkdir(parents=True)
    os.mkfifo(tmp_path / "mirror/mine/ct/0.png")

    def repair(named: Path) -> None:
        named.unlink()
        named.write_bytes(b"slice")

    return fetching(tmp_path, name="ct"), "correct the mirror", repair


def weights_of(tmp_path: Path, content: bytes) -> tuple[Step, Path]:
    """Return the step that fetches weights, of which the mirror has the right ones, and reads them."""
    state = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, state)
    digest = hashlib.sha256(state.getvalue()).hexdigest()[:8]
    put(tmp_path / f"mirror/weights/net-{digest}.pth", state.getvalue())
    url, folder = f"http://127.0.0.1:9/net-{digest}.pth", tmp_path / "weights"
    there = put(folder / f"net-{digest}.pth", content)
    return lambda: published.read(weights(url, folder, tmp_path / "mirror", "do without"), "weights"), there


def empty_weights(tmp_path: Path) -> Case:
    return weights_of(tmp_path, b"")[0], "delete it", Path.unlink


def wrong_weights(tmp_path: Path) -> Case:
    return weights_of(tmp_path, b"<html>")[0], "delete it", Path.unlink


def weights_that_are_none(tmp_path: Path) -> Case:
    """A user's file, whose name says nothing of its hash."""
    there, state = put(tmp_path / "mine.pth", b"text"), io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, state)

    def repair(named: Path) -> None:
        named.unlink()
        there.write_bytes(state.getvalue())

    return lambda: published.read(there, "weights"), "delete it", repair


@pytest.mark.parametrize(
    "case",
    [archive_of_the_mirror, archive_in_place, other_than_at_first_use, link, pipe, empty_weights, wrong_weights,
     weights_that_are_none],
)  # fmt: skip
def test_a_printed_remedy_repairs(case: Callable[[Path], Case], tmp_path: Path) -> None:
    step, remedy, repair = case(tmp_path)
    with pytest.raises(UserError) as e:
        step()
    assert remedy in str(e.value)
    assert "\n" not in str(e.value)
    repair(Path(str(e.value).partition(": ")[0]))
    step()
