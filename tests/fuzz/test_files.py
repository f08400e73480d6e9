"""Damaged scans, archives and label maps: read or refused in one line; no large memory, nothing left behind."""

from __future__ import annotations

import gzip
import io
import json
import resource
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from covidseg.base.images import read_map
from covidseg.data.importers import folder
from covidseg.data.importers.read import grey, nifti
from covidseg.data.unpack import unpack
from tests.fuzz import mutate
from tests.fuzz.test_yaml import below, refused_in_one_line

HEADER = 352  # bytes before a NIfTI file's voxels


@pytest.mark.parametrize("kind", [".nii", ".nii.gz"])
def test_nifti(kind: str, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4), np.diag([1.5, 1.5, 5.0, 1.0]))
    image.header.set_slope_inter(2, -1000)
    original, path = image.to_bytes(), tmp_path / f"scan{kind}"
    refused = 0
    for number, rng in enumerate(mutate.rounds(100)):
        content = mutate.data(rng, original, span=HEADER)
        if kind == ".nii.gz":
            content = gzip.compress(content, 1)
            content = mutate.data(rng, content) if rng.random() < 0.2 else content
        path.write_bytes(content)
        for read in (nifti, read_map):
            refused += refused_in_one_line(lambda read=read: read(path), f"{read.__name__}, round {number}")
    assert refused > 30
    assert list(below(tmp_path)) == [path.name]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20  # KiB


def test_zip(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/1.nii", "a/2.nii", "b.txt"):
            archive.writestr(name, name * 50)
    path, target = tmp_path / "a.zip", tmp_path / "to" / "a"
    refused = 0
    for number, rng in enumerate(mutate.rounds(100)):
        path.write_bytes(mutate.data(rng, packed.getvalue()))
        bad = refused_in_one_line(lambda: unpack(path, target), f"zip, round {number}")
        refused += bad
        outside = [name for name in below(tmp_path) if name not in ("a.zip", "to") and not name.startswith("to/a")]
        assert outside == []
    assert refused > 30


def test_postscript_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    ghost = tmp_path / "bin" / "gs"  # what would interpret it
    ghost.parent.mkdir()
    ghost.write_text(f"#!/bin/sh\ntouch '{tmp_path}/pwned'\n")
    ghost.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghost.parent}:/usr/bin:/bin")
    Image.new("L", (8, 8)).save(tmp_path / "a.eps")
    picture = (tmp_path / "a.eps").rename(tmp_path / "a.png")
    for read in (grey, read_map):
        assert refused_in_one_line(lambda read=read: read(picture), read.__name__)
    assert not (tmp_path / "pwned").exists()


def test_png_and_label_map(tmp_path: Path) -> None:
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(packed, "png")
    labels = {"labels": {"background": 0, "infection": 1, "1": "ggo"}, "channel_names": {"0": "CT"}}
    picture, label_map = tmp_path / "a.png", tmp_path / "dataset.json"
    for number, rng in enumerate(mutate.rounds(80)):
        picture.write_bytes(mutate.data(rng, packed.getvalue()))
        for read in (grey, read_map):
            refused_in_one_line(lambda read=read: read(picture), f"{read.__name__}, round {number}")
        text = json.dumps(mutate.tree(rng, labels), default=str, skipkeys=True)
        label_map.write_bytes(mutate.text(rng, text) if rng.random() < 0.3 else text.encode())
        refused_in_one_line(
            lambda: folder.relabel(
                np.array([[0, 1]], np.uint8), folder.label_map(label_map, {"infection": 1}), label_map
            ),
            f"round {number}: {text}",
        )
