"""Lung masks: the classical way on a drawn chest and on real volumes, published weights, the file they go to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from covidseg import lungs
from covidseg.base.errors import UserError
from covidseg.data import canonical
from covidseg.data.canonical import Case, Store
from covidseg.lungs import published, trained, write_masks
from covidseg.lungs.threshold import threshold
from covidseg.schema import Dataset, RunSpec

OWN = Dataset(title="own", about="", licence="", importer="folder", classes={"lesion": 1})
NAN = float("nan")


def chest():
    """Return a drawn chest in HU and its lungs: two boxes of lung in a box of tissue, a vessel in one, air outside."""
    image = np.full((3, 80, 100), -1000, np.int16)
    image[:, 10:70, 10:90] = 40
    lung = np.zeros(image.shape, np.uint8)
    lung[:, 20:60, 18:44] = lung[:, 20:60, 56:82] = 1
    image[lung == 1] = -850
    image[:, 38:41, 25:28] = 40
    image[:, 74:76, :] = 100  # the table
    return image, lung


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize("eight_bit", [False, True])
@pytest.mark.parametrize("spacing", [(5.0, 3.0, 3.0), (NAN, NAN, NAN)])
def test_threshold_finds_drawn_lungs(eight_bit, spacing):
    image, lung = chest()
    if eight_bit:
        image = canonical.to_8bit(image, (-1250, 250), "chest")
    found = threshold(image, spacing)
    assert found.dtype == np.uint8
    assert dice(found, lung) > 0.98
    assert found[1, 39, 26] == 1  # the vessel counts as lung
    assert not found[:, :10].any()  # the air outside does not


@pytest.mark.filterwarnings("error")
def test_threshold_of_a_slice_without_air():
    assert threshold(np.full((1, 20, 20), 60, np.int16), (1.0, 1.0, 1.0)).sum() == 0
    assert threshold(np.full((1, 20, 20), -1000, np.int16), (1.0, 1.0, 1.0)).sum() == 0


@pytest.mark.parametrize(("name", "at_least"), [("id001", 0.975), ("id002", 0.97)])
def test_threshold_on_real_volumes(name, at_least, shared_data):
    from covidseg.data.importers.read import nifti, nifti_mask

    folder = shared_data / "lung-volumes"
    image = nifti(folder / f"{name}_ct_int16.nii.gz")
    truth = nifti_mask(folder / f"{name}_lungmask.nii.gz", image)
    assert dice(threshold(image.array, image.spacing), truth) > at_least


@pytest.fixture
def store(tmp_path):
    image, lung = chest()
    canonical.write([Case("a", "a", "train", canonical.to_8bit(image, (-1250, 250), "a"), None, lung)], OWN, tmp_path)
    return tmp_path


def test_masks_from_each_source(store):
    write_masks(store, store / "labels.h5", "labels", None)
    write_masks(store, store / "threshold.h5", "threshold", threshold)
    write_masks(store, store / "none.h5", "none", None)
    with Store(store) as truth:
        for source in ("labels", "threshold"):
            with Store(store / f"{source}.h5") as masks:
                assert masks.file_attrs()["source"] == source
                assert dice(masks.lung("a"), truth.lung("a")) > 0.98
    with Store(store / "none.h5") as masks:
        assert masks.cases() == []


def test_masks_that_cannot_be_made(store, tmp_path):
    with pytest.raises(UserError, match="needs a model; legal without one: labels, none"):
        write_masks(store, store / "x.h5", "r231", None)
    with pytest.raises(UserError, match="lung mask of shape"):
        write_masks(store, store / "x.h5", "x", lambda image, spacing: image[0])
    canonical.write([Case("b", "b", "train", np.zeros((1, 4, 4), np.uint8))], OWN, tmp_path / "bare")
    with pytest.raises(UserError, match="case 'b' has no lung labels"):
        write_masks(tmp_path / "bare", store / "x.h5", "labels", None)
    assert not (store / "x.h5").exists()


def test_weights_with_a_wrong_hash(tmp_path):
    address = lungs.source("r231")["weights"]
    (tmp_path / "unet_r231-d5d2fc3d.pth").write_bytes(b"not the weights")
    with pytest.raises(UserError, match="expected d5d2fc3d; delete it and fetch again"):
        published.fetch_weights(address, tmp_path, None)


def test_an_unknown_source_is_refused():
    with pytest.raises(UserError, match="unknown source of lung masks 'r23'; did you mean 'r231'"):
        lungs.predictor("r23", lungs.Request())


def test_weights_that_are_missing(tmp_path):
    nobody = "http://127.0.0.1:9/unet_r231covid-0de78a7e.pth"  # nothing answers there
    with pytest.raises(UserError, match=r"unet_r231covid-0de78a7e.pth: cannot be downloaded .* lungs: threshold") as e:
        published.fetch_weights(nobody, tmp_path, tmp_path / "mirror")
    assert "\n" not in str(e.value)


def test_weights_are_looked_up_in_the_mirror(tmp_path):
    content = b"weights"
    name = f"net-{_start(content)}.pth"
    (tmp_path / "mirror" / "weights").mkdir(parents=True)
    (tmp_path / "mirror" / "weights" / name).write_bytes(content)
    path = published.fetch_weights(f"http://127.0.0.1:9/{name}", tmp_path / "own", tmp_path / "mirror")
    assert path == tmp_path / "mirror" / "weights" / name


def test_a_source_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "half.py").write_text(
        'SOURCE = {"network": True, "weights": None, "run": None, "in_demo": "none", "any_scan": True}\n'
    )
    monkeypatch.setattr(lungs, "_folder", lambda: tmp_path)
    assert lungs.names() == ["half"]
    assert lungs.source("half")["in_demo"] == "none"


def test_sources_say_what_jobs_ask_for():
    assert {name: lungs.source(name)["network"] for name in lungs.names()} == {
        "labels": False, "none": False, "phantom": True, "r231": True, "r231covidweb": True, "threshold": False,
    }  # fmt: skip
    assert [name for name in lungs.names() if lungs.source(name)["any_scan"]] == ["r231", "r231covidweb", "threshold"]
    assert [name for name in lungs.names() if lungs.source(name)["in_demo"] != name] == ["r231", "r231covidweb"]


def _start(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()[:8]


def test_weights_that_would_run_code_are_refused(tmp_path):
    """A pickle that would create a file when it is loaded."""
    import pickle

    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UserError, match="not the lung network's weights"):
        published.network(tmp_path / "w.pth", "cpu")
    assert not (tmp_path / "harm").exists()


def test_the_published_network_runs_on_our_slices(tmp_path):
    """With random weights of the right shapes: the mask has the image's shape and values 0 and 1."""
    import torch
    from lungmask.resunet import UNet

    torch.manual_seed(0)
    net = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
    torch.save(net.state_dict(), tmp_path / "w.pth")
    image = canonical.to_8bit(chest()[0][:1], (-1250, 250), "chest")
    mask = published.network(tmp_path / "w.pth", "cpu")(image, (5.0, 3.0, 3.0))
    assert mask.shape == image.shape
    assert set(np.unique(mask)) <= {0, 1}
    assert published.to_hu(np.array([0, 255], np.uint8)).tolist() == [-1250, 250]


class Bright(nn.Module):
    """Finds lung, surely, where the image is above one half."""

    def forward(self, x):
        return {"logits": torch.where(x[:, :1] > 0.5, 9.0, -9.0)}


def test_lungs_by_a_network_of_another_size():
    """Slices are brought to the network's 16 pixels and its masks back to theirs."""
    spec = RunSpec.model_validate(
        {
            "dataset": "d", "split": "s", "classes": ["lung"], "input": {"size": 16, "mode": "slice"},
            "net": {"name": "unet"}, "losses": {"dice": {}},
        }
    )  # fmt: skip
    image = np.zeros((2, 32, 48), np.uint8)
    image[0, :, :24] = image[1, 16:] = 255
    found = trained.predictor_of(Bright(), spec, "cpu")(image, (NAN, NAN, NAN))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, image // 255)
