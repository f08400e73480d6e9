"""Losses of weakly supervised methods, by pencil."""

from __future__ import annotations

from math import log

import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.losses.dice import dice
from covidseg.losses.equivariance import equivariance
from covidseg.losses.icd import icd
from covidseg.losses.pixel_pairs import offsets, pixel_pairs, strongest, windows
from covidseg.losses.tversky import tversky


def outputs(*p: float) -> dict[str, torch.Tensor]:
    """Return the logits of one row of probabilities."""
    return {"logits": torch.logit(torch.tensor([[[p]]], dtype=torch.float64)).float()}


def target(*values: int) -> torch.Tensor:
    return torch.tensor([[values]], dtype=torch.uint8)


def test_tversky_by_pencil() -> None:
    """TP = 0.8, FP = 0.4, FN = 0.2: (0.8 + 0.5) / (0.8 + 0.3 x 0.4 + 0.7 x 0.2 + 0.5) = 1.3 / 1.56."""
    found, truth = outputs(0.8, 0.4), target(1, 0)
    assert tversky(found, truth).item() == pytest.approx(1 - 1.3 / 1.56)
    assert tversky(found, truth, log=True).item() == pytest.approx(-log(1.3 / 1.56))


def test_tversky_with_halves_is_dice() -> None:
    found, truth = outputs(0.8, 0.4, 0.3), target(1, 0, 1)
    assert tversky(found, truth, alpha=0.5, beta=0.5).item() == pytest.approx(dice(found, truth).item())


def test_tversky_over_the_batch_adds_slices_up() -> None:
    """A second slice without lesion: TP 0.8, FP 0.4 + 0.5, FN 0.2: 1.3 / (1.3 + 0.27 + 0.14)."""
    logits = torch.cat([outputs(0.8, 0.4)["logits"], outputs(0.5, 0.0001)["logits"]])
    truth = torch.cat([target(1, 0), target(0, 0)])
    assert tversky({"logits": logits}, truth, over="batch").item() == pytest.approx(1 - 1.3 / 1.71, abs=1e-4)


def test_pixels_without_a_label_teach_nothing() -> None:
    for loss in (tversky, lambda o, t: tversky(o, t, log=True, over="batch")):
        logits = torch.randn(2, 1, 3, 3, requires_grad=True)
        loss({"logits": logits}, torch.full((2, 3, 3), 255, dtype=torch.uint8)).backward()
        assert logits.grad is not None
        assert not logits.grad.any()


def test_equal_views_cost_nothing() -> None:
    view = torch.zeros(1, 2, 4, 4)
    view[:, 1, :2], view[:, 0, 2:] = 1, 1
    assert equivariance({"views": [view, view, view, view]}, torch.ones(1, 1, 1, dtype=torch.uint8)).item() == 0


def test_equivariance_by_pencil() -> None:
    """One place of sixteen differs by 1 in the class: L_ER 1/16. Its background and its class are two of 32 values, and
    the fifth of these, 6, has the mean 2/6; both cross terms have it.
    """
    flat, other = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    flat[:, 0] = other[:, 0] = 1
    other[0, :, 1, 1] = torch.tensor([0.0, 1.0])
    found = equivariance({"views": [flat, flat, other, other]}, torch.ones(1, 1, 1, dtype=torch.uint8))
    assert found.item() == pytest.approx(1 / 16 + 2 * 2 / 6)
    healthy = torch.zeros(1, 1, 1, dtype=torch.uint8)
    assert equivariance({"views": [flat, flat, other, other]}, healthy).item() == 0  # maps of absent classes are 0


def test_icd_learns_the_side_of_the_activation_maps() -> None:
    """Scores 2, -2: the maps are larger on the second place, so this is lesion. At 0 the top-down loss is ln 2 for both
    of two places; the direction's part is -10 / 2 x 4.
    """
    scores, maps = torch.tensor([[[[2.0, -2.0]]]]), torch.tensor([[[[0.0, 3.0]]]])
    cam = torch.zeros(1, 1, 1, 2, requires_grad=True)
    sick = torch.ones(1, 1, 1, dtype=torch.uint8)
    loss = icd({"parts": [maps, scores], "cam": cam}, sick)
    assert loss.item() == pytest.approx(-20 + log(2))
    loss.backward()
    assert cam.grad is not None
    assert cam.grad.flatten().tolist() == [0.25, -0.25]
    assert icd({"parts": [maps, scores], "cam": cam}, 0 * sick).item() == 0  # a healthy slice teaches nothing


def test_icd_teaches_nothing_where_a_score_is_a_small_part_of_the_largest_of_its_side() -> None:
    """Scores 2, -2, -0.3, the maps larger on the first place: 0.3 of 2 is below a fifth, on the side without lesion."""
    scores, maps = torch.tensor([[[[2.0, -2.0, -0.3]]]]), torch.tensor([[[[3.0, 0.0, 0.0]]]])
    cam = torch.zeros(1, 1, 1, 3, requires_grad=True)
    loss = icd({"parts": [maps, scores], "cam": cam}, torch.ones(1, 1, 1, dtype=torch.uint8))
    assert loss.item() == pytest.approx(-5 * (4 + 4 + 0.09) / 3 + 2 / 3 * log(2))
    loss.backward()
    assert cam.grad is not None
    assert cam.grad.flatten().tolist() == pytest.approx([-0.5 / 3, 0.5 / 3, 0])


def test_each_pair_of_places_counts_once() -> None:
    """Half a disk of less than 2: right, below, below to the left and to the right."""
    assert offsets(2) == [(0, 1), (1, -1), (1, 0), (1, 1)]
    assert windows(3, 4, 1, -1) == ((slice(0, 2), slice(1, 4)), (slice(1, 3), slice(0, 3)))
    assert windows(3, 4, 3, 0) == (None, None)


def test_the_strongest_edge_between_two_places() -> None:
    edge = torch.tensor([[[0.1, 0.7, 0.2, 0.3]]])
    assert strongest(edge, 0, 2)[0].tolist() == [[pytest.approx(0.7), pytest.approx(0.7)]]


def test_pixel_pairs_of_one_lesion_should_move_by_their_distance() -> None:
    """One pair of lesion, affinity 0.5: (ln 2) / 4; its way (0, 1) is missed by 1/2 in the mean, half of it counts."""
    found = {"edge": torch.zeros(1, 1, 1, 2), "displacement": torch.zeros(1, 2, 1, 2)}
    labels = torch.ones(1, 1, 2, dtype=torch.uint8)
    assert pixel_pairs(found, labels, radius=3, displacement=False).item() == pytest.approx(log(2) / 4, abs=1e-3)
    assert pixel_pairs(found, labels, radius=3).item() == pytest.approx(log(2) / 4 + 1 / 4, abs=1e-3)


def test_pixel_pairs_by_pencil() -> None:
    """A row of background, background, lesion, unknown and edges 0.2, 0.5, 0.4: with radius 2 one pair of background,
    affinity 0.5, and one between the classes, affinity 0.5: (ln 2) / 4 + (ln 2) / 2.
    """
    edge = torch.logit(torch.tensor([[[[0.2, 0.5, 0.4, 0.9]]]]))
    found = {"edge": edge, "displacement": torch.zeros(1, 2, 1, 4)}
    labels = torch.tensor([[[0, 0, 1, 255]]], dtype=torch.uint8)
    assert pixel_pairs(found, labels, radius=2, displacement=False).item() == pytest.approx(0.75 * log(2), abs=1e-3)
    # Background should not move: the two differ by (0, 3), 1.5 in the mean, half of it counts.
    found["displacement"][0, 1, 0, 1] = 3
    assert pixel_pairs(found, labels, radius=2).item() == pytest.approx(0.75 * log(2) + 0.75, abs=1e-3)


def test_losses_name_the_network_they_need() -> None:
    plain, sick = {"logits": torch.zeros(1, 1, 4, 4)}, torch.ones(1, 1, 1, dtype=torch.uint8)
    for loss, net in ((equivariance, "seam"), (icd, "icd"), (pixel_pairs, "irn")):
        with pytest.raises(UserError, match=f"use net {net}"):
            loss(plain, sick)
