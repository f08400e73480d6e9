"""Sources of saliency, and weights that only the mirror has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.base.files import sha256
from covidseg.data.unpublished import find
from covidseg.saliency import predictor
from covidseg.saliency.contrast import contrast
from covidseg.saliency.poolnet import PoolNet


def test_lungs_are_salient() -> None:
    lung = np.array([[0, 1]], np.uint8)
    assert predictor("lungs")(np.zeros((1, 2), np.uint8), lung).tolist() == [[0, 255]]


def test_rare_grey_values_stand_out() -> None:
    """One bright pixel in the middle of a dark slice is all that stands out."""
    image = np.full((9, 9), 40, np.uint8)
    image[4, 4] = 200
    found = contrast(image)
    assert found[4, 4] == 255
    assert np.delete(found.ravel(), 40).max() <= 4  # 1/81 of the contrast of the one pixel, and less at the border
    assert not contrast(np.full((5, 5), 40, np.uint8)).any()


def test_contrast_counts_most_in_the_middle() -> None:
    image = np.zeros((9, 9), np.uint8)
    image[4, 4] = image[0, 0] = 200
    assert contrast(image)[0, 0] < contrast(image)[4, 4] == 255


def test_poolnet_reads_weights_of_its_own_names(tmp_path: Path) -> None:
    with torch.device("meta"):
        names = PoolNet().state_dict()
    some = ["base.resnet.layer4.2.conv3.weight", "base.ppms.0.1.weight", "base.ppm_cat.0.weight", "score.score.bias"]
    assert {*some, "deep_pool.0.conv_sum_c.weight", "convert.convert0.4.0.weight"} <= {*names}
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: not PoolNet's weights for ResNet-50"):
        predictor("poolnet", tmp_path / "other.pth", "cpu")


def test_poolnet_maps_a_slice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(PoolNet().state_dict(), tmp_path / "poolnet.pth")
    found = predictor("poolnet", tmp_path / "poolnet.pth", "cpu")(
        np.zeros((64, 80), np.uint8), np.zeros((64, 80), np.uint8)
    )
    assert (found.shape, found.dtype) == ((64, 80), np.uint8)


def test_weights_without_a_public_hash(tmp_path: Path) -> None:
    remedy = "set saliency: lungs"
    with pytest.raises(UserError, match=r"weights/poolnet\.pth of a mirror: folder: no such file; put PoolNet's"):
        find("poolnet", None, {}, remedy)
    with pytest.raises(UserError, match=r"poolnet\.pth: no such file; .* or set saliency: lungs$"):
        find("poolnet", tmp_path, {}, remedy)
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "poolnet.pth"
    path.write_bytes(b"weights")
    with pytest.raises(UserError, match=r"name its sha256 in config\.yaml: weights: \{poolnet: " + sha256(path)):
        find("poolnet", tmp_path, {}, remedy)
    with pytest.raises(UserError, match=r"its sha256 is .*, not that of weights: in config\.yaml"):
        find("poolnet", tmp_path, {"poolnet": "0" * 64}, remedy)
    assert find("poolnet", tmp_path, {"poolnet": sha256(path)}, remedy) == path
