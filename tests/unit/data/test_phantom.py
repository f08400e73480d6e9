"""Phantom twins: read by the real importers, with the shares of SSA-Net's Table 1."""

import json

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.data import phantom, splits, tensors
from covidseg.data.canonical import Store, read_table
from covidseg.data.importers.read import nifti
from covidseg.lungs import write_masks
from tests.unit.data.small import WORKFLOW, dataset, twin

# shares of pixels over the slices with lesion: lung, ground glass, consolidation (SSA-Net, Table 1); COVID-SemiSeg's
# are those of the released crops
SHARES = {
    "covid-ct-seg": (0.1546, 0.0184, 0.0),
    "medseg-1": (0.2690, 0.0466, 0.0229),
    "medseg-2": (0.2146, 0.0197, 0.0051),
    "covid-semiseg": (None, 0.103, 0.049),
}


@pytest.mark.parametrize("name", SHARES)
def test_lesions_have_their_share(name, twins):
    data = twin(name)
    lungs = None
    if name == "covid-ct-seg":
        lungs = twins / name / "lungs.h5"
        write_masks(twins / name, lungs, "labels", None)
    native = {"covid-semiseg": 0}.get(name, data.phantom.size)
    if native:
        tensors.build(twins / name, data, native, lungs, twins / f"{name}-tensors")
        loaded = tensors.load(twins / f"{name}-tensors")
        sick = np.flatnonzero(loaded.label[:].any(axis=(1, 2)))
        measured = [float((loaded.label[sick] == value).mean()) for value in (1, 2)]
        lung = float(loaded.lung[sick].mean()) if lungs else None
    else:  # every slice its own size: shares are counted over all pixels of the crops
        rows = [row for row in read_table(twins / name / "slices.csv") if row["px_ggo"] is not None]
        area = sum(row["height"] * row["width"] for row in rows)
        measured = [sum(row[f"px_{kind}"] for row in rows) / area for kind in ("ggo", "consolidation")]
        lung = None
    expected_lung, *expected = SHARES[name]
    assert measured == pytest.approx(expected, rel=0.05)
    if lung is not None:
        assert lung == pytest.approx(expected_lung, rel=0.05)


@pytest.mark.parametrize("name", ["medseg-1", "medseg-2"])
def test_lungs_have_their_share(name, drawn):
    """These bring no lung labels, so that their generator is asked; the ten slices without labels do not count."""
    lungs = drawn[1][name][: 98 if name == "medseg-1" else None]
    assert np.mean(lungs) == pytest.approx(SHARES[name][0], rel=0.05)


@pytest.mark.parametrize("name", ["medseg-1", "medseg-2"])
def test_the_same_seed_gives_the_same_bytes(name, tmp_path):
    data = dataset(name)
    small = data.model_copy(update={"phantom": data.phantom.model_copy(update={"size": 32, "slices": 4})})
    for where in ("first", "second"):
        phantom.write(name, small, tmp_path / where)
    first, second = (json.loads((tmp_path / where / "fetched.json").read_text()) for where in ("first", "second"))
    assert first == second
    assert first["phantom"]["seed"] == data.phantom.seed


def test_quirks_of_covid_ct_seg(twins):
    with Store(twins / "covid-ct-seg") as store:
        assert len(store.cases()) == 20
        first, last = store.cases()[0], store.cases()[-1]
        assert store.image(first).shape == (7, 128, 128)
        assert store.image(last).shape == (7, 158, 158)  # 128 * 630 / 512
        assert (store.attrs(first)["axcodes"], store.attrs(last)["axcodes"]) == ("LAS", "LPS")
        for case in (first, last):
            image, lung, label = store.image(case), store.lung(case), store.label(case)
            assert (lung[label > 0] == 1).all()
            assert image[lung == 1].mean() < 110 < image[:, 40:70, 60:70].mean()
            # upright: the spine, brightest of all, lies behind; the heart is on the patient's left
            bright = np.argwhere(image > 240)[:, 1].mean()
            assert bright > image.shape[1] / 2
    raw = twins / "raw" / "covid-ct-seg" / "COVID-19-CT-Seg_20cases"
    assert nifti(raw / f"{first}.nii.gz").array.min() == -1024
    assert nifti(raw / f"{last}.nii.gz").array.dtype == np.uint8


def test_quirks_of_the_others(twins):
    rows = list(read_table(twins / "medseg-1" / "slices.csv"))
    assert [
        row["case"] for row in rows if row["role"] == "labelled" and not row["px_ggo"] + row["px_consolidation"]
    ] == [
        "22",
        "48",
    ]
    assert any(row["px_effusion"] for row in rows if row["role"] == "labelled")
    rows = list(read_table(twins / "covid-semiseg" / "slices.csv"))
    assert len({(row["height"], row["width"]) for row in rows}) > 90
    assert [sum(row["role"] == role for row in rows) for role in ("train", "test", "unlabelled")] == [50, 48, 60]
    assert {row["patient"] for row in rows if row["role"] == "unlabelled"} >= {"coronacases_001", "radiopaedia_10"}


@pytest.mark.parametrize(("name", "split"), [("covid-ct-seg", "ma5"), ("covid-semiseg", "infnet-45-5-48")])
def test_cases_are_those_of_the_splits(name, split, twins):
    cases = {row["case"] for row in read_table(twins / name / "slices.csv") if row["role"] != "unlabelled"}
    table = splits.read(WORKFLOW / "splits" / f"{split}.csv")
    assert {case for role in ("train", "val", "test") for case in table.cases(0, role)} == cases


KINDS = ("ggo", "consolidation", "effusion", "infection")
# pixels by kind; those of the first 28 slices that show none; means of the 8-bit images and of their squares, by case
AS_THEY_ARE = {
    "covid-ct-seg": ({"infection": 27132}, [5, 6, 11, 12, 13, 14, 15, 21, 22, 27], 88.6797, 12992.48),
    "medseg-1": ({"ggo": 74822, "consolidation": 36769, "effusion": 3419}, [22], 137.7688, 25187.74),
    "medseg-2": ({"ggo": 20334, "consolidation": 5264, "effusion": 3791}, [7, 15, 23, 24], 96.0252, 14859.05),
    "covid-semiseg": ({"ggo": 81726, "consolidation": 38879}, [], 142.5074, 25394.08),
}


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_phantoms_stay_as_they_are(name, twins):
    """The demo's published numbers rest on them; a change of their looks is to be meant, and these numbers with it."""
    rows = list(read_table(twins / name / "slices.csv"))
    labelled = [row for row in rows if row["role"] != "unlabelled"]
    pixels = {kind: sum(row[f"px_{kind}"] for row in labelled) for kind in KINDS if f"px_{kind}" in rows[0]}
    empty = [k for k, row in enumerate(labelled[:28]) if not any(row[f"px_{kind}"] for kind in pixels)]
    with Store(twins / name) as store:
        images = [store.image(case).astype(float) for case in store.cases()]
    mean, squared = (float(np.mean([power.mean() for power in powers])) for powers in (images, [i * i for i in images]))
    # tolerances for the rounding of another processor
    assert (pixels, empty) == AS_THEY_ARE[name][:2]
    assert mean == pytest.approx(AS_THEY_ARE[name][2], abs=3e-4)
    assert squared == pytest.approx(AS_THEY_ARE[name][3], abs=0.1)


def test_no_twin(tmp_path):
    with pytest.raises(UserError, match="has no phantom"):
        phantom.write("zenodo20-slices", dataset("zenodo20-slices"), tmp_path / "raw")
