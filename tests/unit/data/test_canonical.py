"""The store: intensity rule, refusals, the same bytes, a full disk."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import canonical
from covidseg.data.canonical import Case, Store, read_table, to_8bit
from covidseg.data.imported import imported
from tests.unit.data.small import own

NAN = float("nan")


def case(name="a", **keys):
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    label = np.zeros((2, 3, 4), np.uint8)
    label[1, 0, :3] = 1
    return Case(**{"name": name, "patient": "p", "role": "train", "image": image, "label": label} | keys)


def test_hu_go_through_the_window_and_8_bit_stay():
    hu = np.array([[[-2000, -1250, -500, 250, 3000]]], np.int16)
    assert to_8bit(hu, (-1250, 250), "x").tolist() == [[[0, 0, 128, 255, 255]]]  # 750/1500*255 = 127.5, to even
    windowed = np.array([[[0, 17, 255]]], np.float32)
    assert to_8bit(windowed, (-1250, 250), "x").tolist() == [[[0, 17, 255]]]


def test_values_that_are_neither_are_refused():
    with pytest.raises(UserError, match="neither raw HU nor windowed"):
        to_8bit(np.array([[[0, 900]]], np.int16), (-1250, 250), "x")
    with pytest.raises(UserError, match="give the data set a window"):
        to_8bit(np.array([[[-900, 0]]], np.int16), None, "x")


def test_what_goes_in_comes_out(tmp_path):
    lung = np.ones((2, 3, 4), np.uint8)
    canonical.write([case(lung=lung, spacing=(5.0, 0.5, 0.25)), case("b", label=None)], own(), tmp_path)
    with Store(tmp_path) as store:
        assert store.cases() == ["a", "b"]
        np.testing.assert_array_equal(store.image("a"), case().image)
        np.testing.assert_array_equal(store.label("a"), case().label)
        assert store.label("b") is None
        assert store.lung("b") is None
        assert store.attrs("a")["spacing"].tolist() == [5.0, 0.5, 0.25]
        with pytest.raises(UserError, match="no case 'c'"):
            store.image("c")
    with pytest.raises(KeyError, match="invalid identifier"):
        store.file_attrs()  # the block ended: no handle stays open
    rows = list(read_table(tmp_path / "slices.csv"))
    assert [row["slice"] for row in rows] == ["a/000", "a/001", "b/000", "b/001"]
    assert [row["px_lesion"] for row in rows] == [0, 3, None, None]
    assert [row["px_lung"] for row in rows] == [12, 12, None, None]
    assert rows[0]["dz"] == 5.0
    assert np.isnan(rows[2]["dz"])


def test_an_import_that_did_not_end_is_no_table(tmp_path):
    canonical.write([case()], own(), tmp_path)
    assert [row["case"] for row in imported(tmp_path, "own")] == ["a", "a"]
    (tmp_path / "import.json").unlink()
    with pytest.raises(UserError, match=r"import\.json: missing; run covidseg import own first"):
        imported(tmp_path, "own")


def test_the_same_cases_give_the_same_bytes(tmp_path):
    for folder in ("one", "two"):
        canonical.write([case(), case("b")], own(), tmp_path / folder)
    for file in ("slices.h5", "slices.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"label": np.zeros((2, 3, 5), np.uint8)}, "label of shape"),
        ({"lung": np.zeros((1, 3, 4), np.uint8)}, "lung mask of shape"),
        ({"label": np.full((2, 3, 4), 7, np.uint8)}, r"label values \[7\] are not in the map"),
        ({"image": np.full((2, 3, 4), NAN, np.float32)}, "NaN or infinite"),
        ({"image": np.zeros((3, 4), np.uint8)}, "expected slices x rows x columns"),
        ({"image": np.zeros((0, 3, 4), np.uint8)}, "expected slices x rows x columns"),
    ],
)
def test_bad_cases_are_refused_and_leave_nothing(bad, message, tmp_path):
    with pytest.raises(UserError, match=message) as e:
        canonical.write([case("good"), case(**bad)], own(), tmp_path)
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_no_cases_and_twice_the_same_case_are_refused(tmp_path):
    with pytest.raises(UserError, match="no cases found"):
        canonical.write([], own(), tmp_path)
    with pytest.raises(UserError, match="two cases of this name"):
        canonical.write([case(), case()], own(), tmp_path)


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from covidseg.data import canonical, tensors
from covidseg.base.errors import UserError
from covidseg.schema import Dataset

out = Path(sys.argv[1])
dataset = Dataset(title="own", about="", licence="", importer="folder", classes={"lesion": 1})
noise = np.random.default_rng(0).integers(0, 255, (64, 64, 64), dtype=np.uint8)
case = canonical.Case("a", "a", "train", noise, (noise > 128).astype(np.uint8))
if sys.argv[2] == "tensors":
    canonical.write([case], dataset, out / "canonical")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if sys.argv[2] == "tensors":
        tensors.build(out / "canonical", dataset, 64, None, out / "tensors")
    else:
        canonical.write([case], dataset, out / "canonical")
except UserError as e:
    print(e)
"""


@pytest.mark.parametrize("what", ["canonical", "tensors"])
def test_a_disk_that_takes_no_more_is_said_in_one_line(what, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), what], capture_output=True, text=True, timeout=60, check=True
    )
    assert "no space left on the disk; free some and run again" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert not list((tmp_path / what).iterdir())


def test_a_full_file_system_is_said_in_one_line(tmp_path):
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", tmp_path]).returncode:
        pytest.skip("no tiny file system can be mounted here: that takes root, and the permission to mount")
    try:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 64), dtype=np.uint8)
        with pytest.raises(UserError, match="no space left on the disk") as e:
            canonical.write([case(image=noise, label=None)], own(), tmp_path)
        assert getattr(e.value.__cause__, "errno", errno.ENOSPC) == errno.ENOSPC
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
