"""The Inf-Net toolbox: by pencil, by brute force, and against the authors' stored curves where their maps exist."""

import math
from pathlib import Path

import numpy as np
import pytest

from covidseg import schema
from covidseg.evaluate.score import score_folders
from covidseg.metrics.toolbox import THRESHOLDS, centroid, toolbox

ROOT = Path(__file__).parents[3]
GT = "covid-semiseg/TestingSet/LungInfection-Test/GT"


def test_thresholds_are_built_from_both_ends() -> None:
    assert len(THRESHOLDS) == 256
    assert (THRESHOLDS[0], THRESHOLDS[255]) == (1.0, 0.0)
    step = -1 / 255
    assert THRESHOLDS[127] == 1 + 127 * step
    assert THRESHOLDS[128] == -127 * step
    assert not np.array_equal(THRESHOLDS, np.linspace(1, 0, 256))
    assert np.abs(THRESHOLDS - np.linspace(1, 0, 256)).max() < 1e-15


def test_a_perfect_map_of_four_pixels() -> None:
    result = toolbox(np.array([[255, 0], [0, 0]], np.uint8), np.array([[1, 0], [0, 0]], bool))
    dice, sen, spe, e_phi = result.curves
    # The last threshold marks all four pixels (map >= 0): Dice 2/(1 + 4), no true negative.
    assert dice.tolist() == [1.0] * 255 + [0.4]
    assert sen.tolist() == [1.0] * 256
    assert spe.tolist() == [1.0] * 255 + [0.0]
    # E counts map > t: at t = 1 nothing is marked and every pixel scores (0 + 1)^2/4; else all score 1. Over N - 1 = 3.
    assert e_phi[0] == pytest.approx(1 / 3, rel=1e-14)
    assert e_phi[1:] == pytest.approx([4 / 3] * 255, rel=1e-14)
    assert result.s_alpha == pytest.approx(1.0, abs=1e-14)
    assert result.mae == 0.0


def test_half_found_by_pencil() -> None:
    """Truth: the upper row. Map: its left pixel."""
    result = toolbox(np.array([[200, 0], [0, 0]], np.uint8), np.array([[1, 1], [0, 0]], bool))
    dice, sen, spe, e_phi = result.curves
    assert dice[100] == pytest.approx(2 / 3)
    assert (sen[100], spe[100]) == (0.5, 1.0)
    assert (dice[255], sen[255], spe[255]) == (2 * 2 / 6, 1.0, 0.0)
    # Means 1/4 and 1/2. Align: found .75/.8125, missed -.25/.3125, the two others .25/.3125 each.
    found, missed, other = (0.75 / 0.8125 + 1) ** 2 / 4, (1 - 0.8) ** 2 / 4, (1 + 0.8) ** 2 / 4
    assert e_phi[100] == pytest.approx((found + missed + 2 * other) / 3, rel=1e-14)
    # S. Object: map 1, 0 inside (mean 1/2, sd sqrt(1/2)), 1 - map = 1, 1 outside; each half of the image.
    objects = 0.5 * (2 * 0.5 / (0.25 + 1 + math.sqrt(0.5))) + 0.5 * 1.0
    # Region: the centroid (row 1, column 1.5 -> 2) leaves two blocks, the upper row (covariance 0) and the lower (1).
    assert centroid(np.array([[1, 1], [0, 0]], bool)) == (1, 2)
    assert result.s_alpha == pytest.approx(0.5 * objects + 0.5 * 0.5, rel=1e-14)
    assert result.mae == 0.25  # after the stretch to 0..1


def test_no_true_positive_scores_zero_even_for_specificity() -> None:
    result = toolbox(np.array([[0, 255], [0, 0]], np.uint8), np.array([[1, 0], [0, 0]], bool))
    assert result.curves[:3, 100].tolist() == [0.0, 0.0, 0.0]


def test_a_truth_without_lesion() -> None:
    empty = np.zeros((64, 64), bool)
    zero = toolbox(np.zeros((64, 64), np.uint8), empty)
    assert zero.curves[:3].max() == 0.0
    assert zero.curves[3] == pytest.approx([4096 / 4095] * 256, rel=1e-14)  # 1.000244: above 1
    assert (zero.s_alpha, zero.mae) == (1.0, 0.0)
    ramp = toolbox(np.repeat(np.array([[0, 255]], np.uint8), 4, axis=0), np.zeros((4, 2), bool))
    assert ramp.s_alpha == 0.5  # 1 - mean(map)


def test_a_truth_without_background() -> None:
    result = toolbox(np.array([[0, 255], [255, 255]], np.uint8), np.ones((2, 2), bool))
    assert result.s_alpha == 0.75
    assert result.curves[:, 100] == pytest.approx([6 / 7, 0.75, 1.0, 3 / 3])


def test_a_constant_map_is_not_stretched() -> None:
    result = toolbox(np.full((2, 2), 51, np.uint8), np.array([[1, 0], [0, 0]], bool))
    assert result.mae == pytest.approx((0.8 + 3 * 0.2) / 4)


def test_centroid_rounds_halves_up_as_matlab_does() -> None:
    two = np.zeros((4, 6), bool)
    two[1, 1] = two[2, 2] = True  # rows 2, 3 and columns 2, 3 counted from 1: 2.5 -> 3
    assert centroid(two) == (3, 3)
    assert centroid(np.zeros((5, 4), bool)) == (3, 2)  # the middle: 2.5 -> 3


def brute(prob: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return curves, S and MAE pixel by pixel and threshold by threshold."""
    eps = np.finfo(float).eps
    s = prob / 255 if prob.dtype == np.uint8 else prob
    s = (s - s.min()) / (s.max() - s.min())
    g, n, lines = truth.astype(float), truth.size, []
    for t in THRESHOLDS:
        marked = s >= t
        tp = (marked & truth).sum()
        line = [2 * tp / (truth.sum() + marked.sum()), tp / truth.sum(), (~marked & ~truth).sum() / (~truth).sum()]
        a, b = (s > t) - (s > t).mean(), g - g.mean()
        e = ((2 * a * b / (a * a + b * b + eps) + 1) ** 2 / 4).sum() / (n - 1 + eps)
        lines.append([*(line if tp else [0, 0, 0]), e])

    def part(x: np.ndarray) -> float:
        return 2 * x.mean() / (x.mean() ** 2 + 1 + x.std(ddof=1))

    def ssim(x: np.ndarray, y: np.ndarray) -> float:
        if x.size == 0:
            return 0.0
        m = x.size - 1 + eps
        cov, var = (
            ((x - x.mean()) * (y - y.mean())).sum() / m,
            (((x - x.mean()) ** 2).sum() + (y - y.mean()).dot(y)) / m,
        )
        top, bottom = 4 * x.mean() * y.mean() * cov, (x.mean() ** 2 + y.mean() ** 2) * var
        return top / (bottom + eps) if top != 0 else float(bottom == 0)

    objects = g.mean() * part(s[truth]) + (1 - g.mean()) * part(1 - s[~truth])
    y, x = centroid(truth)
    regions = 0.0
    for rows in (slice(0, y), slice(y, None)):
        for columns in (slice(0, x), slice(x, None)):
            block = s[rows, columns].ravel(), g[rows, columns].ravel()
            regions += block[0].size / n * ssim(*block)
    return np.array(lines).T, max(0, 0.5 * objects + 0.5 * regions), float(np.abs(g - s).mean())


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_equals_brute_force(dtype) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        truth = np.zeros((17, 12), bool)
        truth[3:11, 2:9] = rng.random((8, 7)) < 0.7
        prob = np.clip(rng.random((17, 12)) * 0.6 + 0.35 * truth, 0, 1)
        prob = (prob * 255).astype(np.uint8) if dtype == np.uint8 else prob
        curves, s_alpha, mae = brute(prob, truth)
        result = toolbox(prob, truth)
        np.testing.assert_array_equal(result.curves[:3], curves[:3])
        np.testing.assert_allclose(result.curves[3], curves[3], rtol=1e-12)
        assert result.s_alpha == pytest.approx(s_alpha, rel=1e-12)
        assert result.mae == pytest.approx(mae, rel=1e-12)


def test_values_of_pysodmetrics() -> None:
    # PySODMetrics 1.6.2, Smeasure and MAE
    y, x = np.mgrid[:48, :64]
    truth = ((y - 20) ** 2 + (x - 24) ** 2 <= 144) | ((y - 38) ** 2 + (x - 52) ** 2 <= 16)
    result = toolbox(np.clip(255 - ((y - 22) ** 2 + (x - 28) ** 2), 0, 255).astype(np.uint8), truth)
    assert result.s_alpha == pytest.approx(0.780043116516624, rel=1e-12)
    assert result.mae == pytest.approx(0.10428793913398693, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "printed"),
    [
        ("Inf-Net", (0.682, 0.692, 0.943, 0.781, 0.838, 0.082)),
        ("UNet", (0.439, 0.534, 0.858, 0.622, 0.625, 0.186)),
    ],
)
def test_the_authors_maps_give_the_authors_curves(model, printed, shared_data: Path, tmp_path: Path) -> None:
    """Inf-Net's Table II and the .mat files beside the released maps."""
    maps, truth = (shared_data / name for name in ("infnet-released-predictions", GT))
    from scipy.io import loadmat

    stored = loadmat(maps / f"{model}.mat")
    protocol = schema.load(schema.Protocol, ROOT / "workflow/protocols/infnet_toolbox.yaml")
    summary = score_folders(protocol, truth, maps / model, tmp_path)
    curves = np.genfromtxt(tmp_path / "curves.csv", delimiter=",", names=True)
    for name, key in (("dice", "column_Dic"), ("sen", "column_Sen"), ("spe", "column_Spe")):
        np.testing.assert_array_equal(curves[name], stored[key][0])
    assert np.abs(curves["e_phi"] - stored["column_E"][0]).max() < 1e-12
    keys = ("meanDic", "meanSen", "meanSpe", "Sm", "meanEm", "mae")
    names = ("dice", "sen", "spe", "s_alpha", "e_phi", "mae")
    for name, key, value in zip(names, keys, printed, strict=True):
        assert abs(summary[name] - stored[key].item()) < 1e-12
        assert round(summary[name], 3) == value
