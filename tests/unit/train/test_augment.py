"""Random changes of slices: image and labels move together, by how much the settings say, and the same each time."""

import pytest
import torch
from torch import Tensor

from covidseg.schema.training import Augment
from covidseg.train.augment import augmented


def spot(row: int, column: int) -> tuple[Tensor, Tensor]:
    """Return CT and mask channels (1, 2, 8, 8) and labels (1, 8, 8) of one bright pixel, of class 3."""
    x, target = torch.full((1, 2, 8, 8), 0.25), torch.zeros(1, 8, 8, dtype=torch.uint8)
    x[0, 0, row, column] = 1
    x[0, 1] = 0
    x[0, 1, row, column] = 1
    target[0, row, column] = 3
    return x, target


def test_nothing_asked_changes_nothing() -> None:
    x, target = spot(2, 5)
    found, labels = augmented(x, target, Augment())
    torch.testing.assert_close(found, x)
    assert torch.equal(labels, target)


def test_a_mirrored_slice_and_its_labels() -> None:
    """Column 5 of 0..7 comes to lie at column 2; of some slices about half are mirrored."""
    x, target = (each.repeat(40, *[1] * (each.dim() - 1)) for each in spot(2, 5))
    torch.manual_seed(0)
    found, labels = augmented(x, target, Augment(mirror=True))
    where = {tuple(place) for place in labels.nonzero()[:, 1:].tolist()}
    assert where == {(2, 5), (2, 2)}
    assert 10 < int((labels[:, 2, 2] == 3).sum()) < 30
    assert torch.equal(found[:, 0].round() > 0.5, labels == 3)
    assert torch.equal(found[:, 1].round() > 0.5, labels == 3)


def test_a_turn_by_a_right_angle(monkeypatch: pytest.MonkeyPatch) -> None:
    """(row, column) = (2, 5) is 1.5 up and 1.5 right of the middle; turned it is 1.5 up and 1.5 left, or below."""
    monkeypatch.setattr("covidseg.train.augment._draw", lambda n, count: torch.ones(n, count))
    _, labels = augmented(*spot(2, 5), Augment(rotate=90))
    assert labels.nonzero()[:, 1:].tolist() == [[2, 2]]


def test_a_shift_by_a_quarter_of_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new slice is taken two rows down and two columns right: what was there moves up and to the left."""
    monkeypatch.setattr("covidseg.train.augment._draw", lambda n, count: torch.ones(n, count))
    found, labels = augmented(*spot(4, 5), Augment(shift=0.25))
    assert labels.nonzero()[:, 1:].tolist() == [[2, 3]]
    assert found[0, 0, 2, 3] == 1


def test_a_larger_disc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covidseg.train.augment._draw", lambda n, count: torch.ones(n, count))
    target = torch.zeros(1, 64, 64, dtype=torch.uint8)
    target[0, 16:48, 16:48] = 1  # 32 x 32 pixels, half as large again: 48 x 48
    _, labels = augmented(torch.zeros(1, 1, 64, 64), target, Augment(scale=0.5))
    assert int(labels.sum()) == 48 * 48


def test_intensity_changes_the_ct_alone_and_leaves_nothing_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covidseg.train.augment._draw", lambda n, count: torch.ones(n, count))
    x, target = spot(2, 5)
    x[0, 0, 0, 0] = 0
    found, labels = augmented(x, target, Augment(intensity=0.2))
    assert float(found[0, 0, 7, 7]) == pytest.approx((0.25 * 1.2) ** 1.2)
    assert float(found[0, 0, 2, 5]) == 1
    assert float(found[0, 0, 0, 0]) == 0
    torch.testing.assert_close(found[:, 1:], x[:, 1:])
    assert torch.equal(labels, target)


def test_the_same_seed_draws_the_same_and_slices_differ() -> None:
    asked = Augment(rotate=20, scale=0.2, shift=0.1, mirror=True, intensity=0.1)
    x = torch.rand(1, 1, 16, 16).repeat(6, 1, 1, 1)
    target = (x[:, 0] > 0.5).to(torch.uint8)
    torch.manual_seed(3)
    one = augmented(x, target, asked)
    torch.manual_seed(3)
    other = augmented(x, target, asked)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert len({each.sum().item() for each in one[0]}) == 6


def test_pixels_without_a_label_stay_so_and_soft_targets_stay_soft() -> None:
    torch.manual_seed(0)
    target = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    target[:, :, 8:] = 1
    _, labels = augmented(torch.zeros(2, 1, 16, 16), target, Augment(rotate=20, scale=0.2))
    assert set(labels.unique().tolist()) == {1, 255}
    _, soft = augmented(torch.zeros(2, 1, 16, 16), target.float() / 255, Augment(rotate=20))
    assert soft.dtype == torch.float32


def test_a_label_of_the_whole_slice_stays_while_the_slice_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covidseg.train.augment._draw", lambda n, count: torch.ones(n, count))
    x, _ = spot(4, 5)
    found, label = augmented(x, torch.ones(1, 1, 1, dtype=torch.uint8), Augment(shift=0.25))
    assert label.tolist() == [[[1]]]
    assert found[0, 0, 2, 3] == 1
