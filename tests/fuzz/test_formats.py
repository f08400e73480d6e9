"""A damaged file is refused in one line, or read as what it was where it has a checksum or a hash of its own; where it
has none, as another program reads it: there it is a file of other content.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from covidseg.base import records
from covidseg.base.images import read_map
from covidseg.base.nifti import load
from covidseg.data import splits
from covidseg.data.fetch import read_manifest
from covidseg.data.importers import folder
from covidseg.data.importers.read import grey, nifti
from covidseg.data.unpack import unpack
from covidseg.evaluate.score import score_folders
from covidseg.inference import model
from covidseg.inference.done import Done
from covidseg.schema import Protocol
from covidseg.schema import load as load_yaml
from covidseg.schema.loading import read_yaml
from covidseg.train.resume import Resume
from tests.conftest import ROOT
from tests.fuzz import mutate
from tests.fuzz.test_equality import limited
from tests.fuzz.test_yaml import difference, refused_in_one_line

STANDARD = load_yaml(Protocol, ROOT / "workflow/protocols/standard.yaml")
LABELS = {"labels": {"background": 0, "infection": 1, "ggo": 3}, "channel_names": {"0": "CT"}}
SPLIT = "# made by hand\nfold,case,role\n0,a,train\n0,b,val+test\n1,a,test\n1,b,train\n1,c,train\n"
MANIFEST = f"file,sha256\na.png,{'0' * 64}\nb/c.png,\n"
ROUNDS = 12


def volume(compressed: bool = False) -> bytes:
    array = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
    image = nib.Nifti1Image(array, np.diag([-1.5, 1.5, 5.0, 1.0]))  # type: ignore[attr-defined]
    image.header.set_slope_inter(2, -1000)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), 6) if compressed else image.to_bytes()


def picture(array: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(array).save(packed, "png")
    return packed.getvalue()


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a/1.nii", "a/2.nii", "b.txt"):
            file.writestr(name, name * 50)
    return packed.getvalue()


def refused_or_equal(
    name: str, original: bytes, path: Path, read: Callable[[], Any], number: int = ROUNDS, text: bool = False
) -> None:
    """Damage a file again and again; whatever is read of it has to be what was read of the original."""
    path.write_bytes(original)
    expected, refused = read(), 0
    for count, rng in enumerate(mutate.rounds(number)):
        changed = mutate.text(rng, original.decode()) if text and rng.random() < 0.5 else mutate.data(rng, original)
        path.write_bytes(changed)
        what = f"round {count} of {name}"
        found: list[Any] = []
        with limited(what):
            bad = refused_in_one_line(lambda found=found: found.append(read()), what)
        refused += bad
        assert bad or found == [expected], what
    assert refused


# ---- files with a checksum


def voxels(path: Path) -> Any:
    found = nifti(path)
    return found.array.tobytes(), found.array.shape, found.spacing, found.affine.tolist(), found.axcodes


def shown(path: Path) -> Any:
    found = read_map(path)
    return found.values.tobytes(), found.values.shape, repr(found.spacing), found.axes


@pytest.mark.parametrize("read", [voxels, shown])
def test_compressed_volumes(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    refused_or_equal(read.__name__, volume(compressed=True), path, lambda: read(path))


@pytest.mark.parametrize("bits", [8, 16])
def test_pictures(bits: int, tmp_path: Path) -> None:
    path, array = tmp_path / "a.png", np.arange(64, dtype=np.uint8).reshape(8, 8)
    read = (lambda: grey(path).tolist()) if bits == 8 else (lambda: shown(path))
    refused_or_equal("png", picture(array if bits == 8 else array.astype(np.uint16) * 900), path, read)


def test_archives(tmp_path: Path) -> None:
    path, to = tmp_path / "a.zip", tmp_path / "to"

    def read() -> dict[str, bytes]:
        unpack(path, to)
        return {file.relative_to(to).as_posix(): file.read_bytes() for file in to.rglob("*") if file.is_file()}

    refused_or_equal("zip", archive(), path, read)


@pytest.mark.parametrize("kind", ["png", "nii.gz"])
@pytest.mark.parametrize("damaged", ["truth", "pred"])
def test_scores_of_folders(kind: str, damaged: str, tmp_path: Path) -> None:
    mask = np.zeros((8, 8, 2), np.uint8)
    mask[2:5, 3:6] = 1
    for name, array in (("truth", mask), ("pred", np.roll(mask, 1, 0))):
        (tmp_path / name).mkdir()
        if kind == "png":
            content = picture(array[..., 0] * 255)
        else:
            affine = np.diag([1.5, 1.5, 5.0, 1.0])
            content = gzip.compress(nib.Nifti1Image(array, affine).to_bytes())  # type: ignore[attr-defined]
        (tmp_path / name / f"a.{kind}").write_bytes(content)
    path = tmp_path / damaged / f"a.{kind}"

    def read() -> Any:
        return repr(score_folders(STANDARD, tmp_path / "truth", tmp_path / "pred", tmp_path / "out"))

    refused_or_equal(f"{damaged} {kind}", path.read_bytes(), path, read)


# ---- files that we wrote


def test_exported_models(tmp_path: Path) -> None:
    path = tmp_path / "a.covidseg"
    network = model.Network.model_validate(
        {"net": {"name": "unet", "width": 0.0625}, "input": {"size": 32, "mode": "slice"}, "classes": ["infection"]}
    )
    settings = model.Settings(
        run="mine/a", network=network, members=1, labels={"infection": 1}, lungs="none", phantoms=False
    )
    model.save(model.Model.of(settings, {"member0.weight": torch.arange(12.0)}), path)

    def read() -> Any:
        found = model.load(path)
        return found.sha256, found.settings.model_dump(), {key: t.tolist() for key, t in found.weights.items()}

    refused_or_equal("model", path.read_bytes(), path, read, number=3 * ROUNDS)


def test_records(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    records.write(tmp_path / "a.json", [tmp_path / "a.csv"], mean=0.25, names=["a", "b"])
    path = tmp_path / "a.json"
    refused_or_equal("record", path.read_bytes(), path, lambda: records.read(path), number=3 * ROUNDS, text=True)


def test_states_to_go_on_from(tmp_path: Path) -> None:
    """A damaged state is left aside and noted, and the training starts anew: it never goes on from other numbers."""
    state = {"epoch": 3, "history": [["0", "0.5"]], "model": {"values": torch.arange(4096.0)}, "best": None}
    first = Resume(tmp_path, "this job")
    first.save(lambda: state)
    original = first.path.read_bytes()
    noted = 0
    for count, rng in enumerate(mutate.rounds(3 * ROUNDS)):
        first.path.write_bytes(mutate.data(rng, original))
        second = Resume(tmp_path, "this job")
        with limited(f"round {count} of a state"):
            found = second.load()
        noted += bool(second.notes)
        if found is None:
            assert second.notes, f"round {count}: nothing was said"
            continue
        assert {key: found[key] for key in ("epoch", "history", "best")} == {
            key: state[key] for key in ("epoch", "history", "best")
        }, f"round {count}"
        assert torch.equal(found["model"]["values"], torch.arange(4096.0)), f"round {count}"
    assert noted


def test_scans_that_are_done(tmp_path: Path) -> None:
    """A line that was damaged counts as not done: its scan is predicted again."""
    rows = [{"case": name, "ml": 1.25 * k, "files": {}} for k, name in enumerate(("a", "b", "c"))]
    path = tmp_path / "done.jsonl"
    done = Done(path, "models")
    for row in rows:
        done.add(row)
    original = path.read_bytes()
    for count, rng in enumerate(mutate.rounds(2 * ROUNDS)):
        path.write_bytes(mutate.text(rng, original.decode()) if rng.random() < 0.5 else mutate.data(rng, original))
        found: list[Done] = []
        assert not refused_in_one_line(lambda found=found: found.append(Done(path, "models")), f"round {count}")
        wrong = [row for row in found[0].rows.values() if row not in rows]
        assert not wrong, f"round {count}: {wrong}"


# ---- files without a checksum, read as others read them


def test_volumes_without_a_checksum(tmp_path: Path) -> None:
    original, path, refused = volume(), tmp_path / "scan.nii", 0
    for count, rng in enumerate(mutate.rounds(5 * ROUNDS)):
        content = mutate.data(rng, original, span=352 if rng.random() < 0.8 else None)
        path.write_bytes(content)
        found: list[Any] = []
        what = f"round {count} of nii"
        with limited(what):
            bad = refused_in_one_line(lambda found=found: found.append((nifti(path), load(path)[1])), what)
        refused += bad
        if not bad:
            theirs, sizes = by_the_standard(content)
            ours, stored = found[0]
            while stored.ndim > 3:
                stored = stored[..., 0]
            assert np.allclose(stored, theirs, rtol=1e-6, atol=0), what
            assert sorted(ours.array.ravel().tolist()) == sorted(stored.ravel().tolist()), what
            known = [size for size in ours.spacing if not math.isnan(size)]
            assert not known or np.allclose(sorted(known), sorted(sizes), rtol=1e-6), what
    assert refused


def by_the_standard(content: bytes) -> tuple[np.ndarray, list[float]]:
    """Return the voxels of a NIfTI-1 file, scaled, and its voxel sizes in mm, as nifti1.h has them."""
    order = "<" if 1 <= struct.unpack_from("<h", content, 40)[0] <= 7 else ">"
    dim = struct.unpack_from(f"{order}8h", content, 40)
    kind = struct.unpack_from(f"{order}h", content, 70)[0]
    names = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
    pixdim = struct.unpack_from(f"{order}8f", content, 76)
    offset, slope, inter = struct.unpack_from(f"{order}3f", content, 108)
    unit = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}[content[123] & 7]
    shape = list(dim[1 : 1 + dim[0]])
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    type_ = np.dtype(order + names[kind])
    array = np.frombuffer(content, type_, math.prod(shape), int(offset)).reshape(shape, order="F")
    if slope and math.isfinite(slope):
        array = array.astype(np.float64) * slope + inter
    return array, [size * unit for size in pixdim[1:4]]


def test_splits(tmp_path: Path) -> None:
    path, refused = tmp_path / "a.csv", 0
    for count, rng in enumerate(mutate.rounds(4 * ROUNDS)):
        content = mutate.text(rng, SPLIT)
        path.write_bytes(content)
        found: list[splits.Split] = []
        what = f"round {count} of a split:\n{difference(SPLIT, content)}"
        bad = refused_in_one_line(lambda found=found: found.append(splits.read(path)), what)
        refused += bad
        if not bad:
            lines = content.decode("utf-8-sig").splitlines()
            rows = list(csv.reader(line for line in lines if line and not line.startswith("#")))
            theirs = sorted((int(fold), case, part) for fold, case, role in rows[1:] for part in role.split("+"))
            roles = found[0].table.items()
            ours = sorted((fold, case, role) for fold, of in roles for role, cases in of.items() for case in cases)
            assert ours == theirs, what
    assert refused


def test_label_maps(tmp_path: Path) -> None:
    path, refused = tmp_path / "dataset.json", 0
    for count, rng in enumerate(mutate.rounds(4 * ROUNDS)):
        changed = json.dumps(mutate.tree(rng, LABELS), default=str, skipkeys=True)
        content = mutate.text(rng, json.dumps(LABELS, indent=1)) if rng.random() < 0.5 else changed.encode()
        path.write_bytes(content)
        found: list[dict[int, int]] = []
        what = f"round {count}: {content.decode(errors='replace')[:500]}"
        bad = refused_in_one_line(lambda found=found: found.append(folder.label_map(path, {"infection": 7})), what)
        refused += bad
        if not bad:
            named = json.loads(content, object_pairs_hook=lambda pairs: pairs)
            pairs = dict(named)["labels"]
            assert len({key for key, _ in pairs}) == len(pairs), what
            values = {
                str(b) if str(a).isdecimal() else str(a): int(a) if str(a).isdecimal() else int(b) for a, b in pairs
            }
            assert found[0] == {0: 0} | {value: 7 if name == "infection" else 0 for name, value in values.items()}, what
    assert refused


def test_manifests(tmp_path: Path) -> None:
    path, refused = tmp_path / "m.csv", 0
    for count, rng in enumerate(mutate.rounds(3 * ROUNDS)):
        content = mutate.text(rng, MANIFEST)
        path.write_bytes(content)
        found: list[dict[str, str]] = []
        what = f"round {count} of a manifest:\n{difference(MANIFEST, content)}"
        bad = refused_in_one_line(lambda found=found: found.append(read_manifest(path)), what)
        refused += bad
        if not bad:
            rows = [row for row in csv.reader(io.StringIO(content.decode(), newline="")) if row]
            at = [rows[0].index(column) for column in ("file", "sha256")]
            assert all(len(row) == len(rows[0]) for row in rows), what
            assert sorted(found[0].items()) == sorted((row[at[0]], row[at[1]]) for row in rows[1:]), what
    assert refused


@pytest.mark.parametrize("file", ["papers/infnet.yaml", "datasets/medseg-1.yaml", "protocols/standard.yaml"])
def test_settings(file: str, tmp_path: Path) -> None:
    path, original, refused = tmp_path / "a.yaml", (ROOT / "workflow" / file).read_text(), 0
    for count, rng in enumerate(mutate.rounds(ROUNDS)):
        content = mutate.text(rng, original)
        path.write_bytes(content)
        found: list[Any] = []
        what = f"round {count} of {file}:\n{difference(original, content)}"
        bad = refused_in_one_line(lambda found=found: found.append(read_yaml(path)), what)
        refused += bad
        if not bad:
            text = content.decode().replace("\ufeff", "")  # which libyaml takes for nothing, before a comment too
            assert repr(found[0]) == repr(yaml.load(text, Loader=yaml.SafeLoader) or {}), what
            assert keys_once(yaml.compose(text, Loader=yaml.SafeLoader)), what
    assert refused


def keys_once(node: Any) -> bool:
    left, seen = [node], []
    while left:
        node = left.pop()
        if any(node is other for other in seen):  # an alias, be it of a mapping in itself
            continue
        seen.append(node)
        if isinstance(node, yaml.MappingNode):
            keys = [str(key.value) for key, _ in node.value]
            if len(set(keys)) < len(keys):
                return False
            left += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value
    return True
