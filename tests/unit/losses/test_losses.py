"""Losses by hand: logits of 100 are probabilities of 0 and 1, and ln 5 makes a softmax of fractions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from covidseg import losses
from covidseg.base.errors import UserError
from covidseg.losses.cross_entropy import cross_entropy
from covidseg.losses.dice import dice
from covidseg.losses.self_attention import self_attention
from covidseg.losses.targets import label_map


def binary(predicted: list[list[int]]) -> dict[str, Any]:
    return {"logits": (torch.tensor(predicted).float() * 200 - 100)[:, None, None, :]}


def labels(target: list[list[int]]) -> torch.Tensor:
    return torch.tensor(target, dtype=torch.uint8)[:, None, :]


@pytest.mark.parametrize(
    ("predicted", "target", "smoothing", "value"),
    [
        ([[1, 1, 0, 0]], [[0, 1, 1, 0]], "corrected", 1 - 3 / 5),
        ([[1, 1, 0, 0]], [[0, 1, 1, 0]], "released", 1 - 4 / 5),
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], "corrected", 0),
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], "released", -1),
        ([[1, 1, 1, 0]], [[1, 1, 1, 0]], "corrected", 0),
        ([[1, 1, 1, 0]], [[1, 1, 1, 0]], "released", 1 - 8 / 7),
        ([[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 1, 1, 0], [0, 0, 0, 0]], "corrected", (2 / 5 + 0) / 2),
    ],
)
def test_dice(predicted: Any, target: Any, smoothing: Any, value: float) -> None:
    assert dice(binary(predicted), labels(target), smoothing=smoothing).item() == pytest.approx(value, abs=1e-6)


def test_dice_of_two_classes_is_the_mean_over_them() -> None:
    """Background, class 1 (found wholly), class 2 (two pixels, one of them found)."""
    found = torch.tensor([0, 1, 2, 0])
    logits = 100 * torch.nn.functional.one_hot(found, 3).float().t()[None, :, None, :]
    value = dice({"logits": logits}, labels([[0, 1, 2, 2]])).item()
    assert value == pytest.approx((0 + (1 - 3 / 4)) / 2, abs=1e-6)


def attention(near: list[float], deep: float = 0.0) -> dict[str, Any]:
    return {"features": [torch.tensor(near).view(1, 1, 2, 2), torch.full((1, 1, 1, 1), deep)]}


@pytest.mark.parametrize(("reduction", "value"), [("mean", 12 / 64 / 4), ("sum", 12 / 64)])
def test_self_attention(reduction: Any, value: float) -> None:
    """Squares (0, 0, 0, ln 5) are the softmax (1, 1, 1, 5) / 8; one pixel enlarged is (1, 1, 1, 1) / 4."""
    outputs = attention([0, 0, 0, math.sqrt(math.log(5))], deep=3.0)
    assert self_attention(outputs, labels([[0]]), reduction=reduction).item() == pytest.approx(value, abs=1e-6)


def test_self_attention_sums_pairs_squares_channels_and_averages_slices() -> None:
    root = math.sqrt(math.log(5) / 2)
    near = torch.zeros(2, 2, 2, 2)
    near[0, :, 1, 1] = torch.tensor([root, -root])  # the second slice looks nowhere, as the deeper map
    maps = [near, torch.ones(2, 1, 1, 1), torch.ones(2, 1, 1, 1)]
    assert self_attention({"features": maps}, labels([[0]])).item() == pytest.approx(12 / 64 / 4 / 2, abs=1e-6)


def test_self_attention_teaches_both_maps() -> None:
    maps = [torch.rand(1, 3, 4, 4, requires_grad=True), torch.rand(1, 3, 2, 2, requires_grad=True)]
    self_attention({"features": maps}, labels([[0]])).backward()
    assert all(m.grad is not None and m.grad.abs().max() > 0 for m in maps)


def test_self_attention_needs_features() -> None:
    with pytest.raises(UserError, match=r"losses\.self_attention: this network returns no encoder features"):
        self_attention({"logits": torch.zeros(1, 1, 1, 1)}, labels([[0]]))


@pytest.mark.parametrize(("weights", "value"), [((), math.log(2)), ((1.0, 2.0), 1.25 * math.log(2))])
def test_binary_cross_entropy(weights: tuple[float, ...], value: float) -> None:
    """Logits of 0 are probabilities of a half; one pixel of four is foreground."""
    outputs = {"logits": torch.zeros(1, 1, 1, 4)}
    found = cross_entropy(outputs, labels([[1, 0, 0, 0]]), class_weights=weights).item()
    assert found == pytest.approx(value, abs=1e-6)


def test_softmax_cross_entropy() -> None:
    """Logits (0, 0, ln 2) are probabilities (1/4, 1/4, 1/2); labels 2 and 0."""
    logits = torch.tensor([0.0, 0.0, math.log(2)]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    found = cross_entropy({"logits": logits}, labels([[2, 0]]), class_weights=(1.0, 1.0, 3.0)).item()
    assert found == pytest.approx((3 * math.log(2) + math.log(4)) / 2, abs=1e-6)


def test_class_weights_must_fit() -> None:
    with pytest.raises(UserError, match=r"class_weights: expected 2 numbers, background first \(found 3\)"):
        cross_entropy({"logits": torch.zeros(1, 1, 1, 1)}, labels([[0]]), class_weights=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("pixels", "weights"),
    [
        ([466, 229], [0.746, 1.517]),  # SSA-Net, table 1: shares of 4.66 and 2.29 % in the 98 slices
        ([197, 51], [0.629, 2.431]),  # of 1.97 and 0.51 % in the 370; from the rounded share 0.794 it is 0.630
        ([300, 100], [2 / 3, 2]),
        ([5, 5, 5], [1, 1, 1]),
        ([6, 3, 0], [0.5, 1, 1]),
        ([0, 0], [1, 1]),
    ],
)
def test_class_weights_are_one_over_classes_times_share(pixels: list[int], weights: list[float]) -> None:
    assert losses.class_weights(pixels) == pytest.approx(weights, abs=5e-4)


def test_reweight_becomes_class_weights() -> None:
    given = {"cross_entropy": {"weight": 0.5, "reweight": True}, "dice": {}}
    assert losses.reweights(given)
    found = losses.resolved(given, [300, 100])
    assert found == {"cross_entropy": {"weight": 0.5, "class_weights": [1, pytest.approx(2 / 3), 2]}, "dice": {}}
    assert given["cross_entropy"]["reweight"]
    plain = {"cross_entropy": {"reweight": False}}
    assert not losses.reweights(plain)
    assert losses.resolved(plain, [300, 100]) == {"cross_entropy": {}}


def test_a_rare_class_counts_more_by_hand() -> None:
    """Logits of 0 are probabilities of a third; labels 0, 1, 1, 1, 2: weights 1, 4 / (2 * 3) thrice, 4 / 2."""
    target = labels([[0, 1, 1, 1, 2]])
    terms = losses.resolved({"cross_entropy": {"reweight": True}}, [3, 1])
    found = losses.total(terms, {"logits": torch.zeros(1, 3, 1, 5)}, target, 0)[0].item()
    assert found == pytest.approx((1 + 3 * 2 / 3 + 2) / 5 * math.log(3), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "classes", "message"),
    [
        ({"reweight": True}, 1, "r.losses.cross_entropy.reweight: a run of one class has nothing to weigh"),
        ({"reweight": "yes"}, 2, "r.losses.cross_entropy.reweight: expected true or false (found 'yes')"),
        (
            {"reweight": True, "class_weights": [1, 2, 3]},
            2,
            "r.losses.cross_entropy: reweight and class_weights exclude each other; remove one",
        ),
    ],
)
def test_reweight_is_refused(options: dict[str, Any], classes: int, message: str) -> None:
    with pytest.raises(UserError) as e:
        losses.check({"cross_entropy": options}, "r", classes)
    assert str(e.value).startswith(message)
    losses.check({"cross_entropy": {"reweight": True}}, "r", 2)


def test_reweight_left_in_place_is_refused() -> None:
    with pytest.raises(UserError, match=r"cross_entropy\.reweight: this training method counts no classes"):
        cross_entropy({"logits": torch.zeros(1, 3, 1, 1)}, labels([[0]]), reweight=True)


def test_label_maps() -> None:
    """Columns: background 0.5 leads; a class leads with 0.4; a class ties with background; two classes tie."""
    p = torch.tensor([[[[0.3, 0.25, 0.5, 0.375]], [[0.2, 0.4, 0.0, 0.375]]]])
    assert label_map(p).tolist() == [[[0, 2, 1, 1]]]


def test_the_label_map_of_one_class_is_its_threshold() -> None:
    half = torch.tensor(0.5)
    near = torch.stack([torch.nextafter(half, torch.tensor(0.0)), half, torch.nextafter(half, torch.tensor(1.0))])
    p = torch.cat([near, torch.rand(1000)])[None, None, None]
    assert torch.equal(label_map(p)[0, 0].bool(), p[0, 0, 0] >= 0.5)


def test_total_weighs_and_waits() -> None:
    given = {"dice": {"weight": 2.0}, "cross_entropy": {"weight": 0.5, "from_epoch": 3}}
    outputs, target = {"logits": torch.zeros(1, 1, 1, 4)}, labels([[1, 0, 0, 0]])
    half = 1 - 2 / 4  # I = 1/2, P = 2, G = 1: (2 I + 1) / (P + G + 1)
    before, values = losses.total(given, outputs, target, 2)
    assert (before.item(), list(values)) == (pytest.approx(2 * half), ["dice"])
    after, values = losses.total(given, outputs, target, 3)
    assert after.item() == pytest.approx(2 * half + 0.5 * math.log(2))
    assert {name: value.item() for name, value in values.items()} == pytest.approx(
        {"dice": half, "cross_entropy": math.log(2)}
    )


def test_pixels_without_a_label_count_in_no_loss() -> None:
    """The same four pixels, and two more whose target is 255: whatever is predicted there, the value stays."""
    few = binary([[1, 1, 0, 0]])
    for more in ([1, 0], [1, 1]):
        many = binary([[1, 1, 0, 0, *more]])
        with_unknown = labels([[0, 1, 1, 0, 255, 255]])
        assert dice(many, with_unknown) == dice(few, labels([[0, 1, 1, 0]]))
        assert cross_entropy(many, with_unknown) == cross_entropy(few, labels([[0, 1, 1, 0]]))


def test_of_one_labelled_pixel_the_mean_is_its_own_loss() -> None:
    """Logits 0 are a probability of one half each, so that pixel's cross entropy is ln 2."""
    target = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    target[0, 0, 0] = 1
    value, parts = losses.total({"cross_entropy": {}}, {"logits": torch.zeros(1, 2, 2, 2)}, target)
    assert float(value) == pytest.approx(math.log(2))
    assert float(parts["cross_entropy"]) == pytest.approx(math.log(2))


def test_a_slice_without_any_label_has_no_gradient() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    target = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    (dice({"logits": logits}, target) + cross_entropy({"logits": logits}, target)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "structure"])
def test_a_target_with_a_channel_is_refused(name):
    outputs = {"logits": torch.zeros(2, 1, 4, 4)}
    target = torch.ones(2, 4, 4, dtype=torch.uint8)
    losses.total({name: {}}, outputs, target, 0)
    with pytest.raises(UserError, match="target of shape 2 x 1 x 4 x 4, expected 2 x 4 x 4; take its channel off"):
        losses.total({name: {}}, outputs, target[:, None], 0)


NEED_ALL_LABELS = {"edge", "equivariance", "icd", "structure"}


def test_which_losses_ignore_pixels_without_a_label() -> None:
    assert set(losses.names()) - {name for name in losses.names() if losses.LOSSES.declared(name)} == NEED_ALL_LABELS
    assert {"weight", "from_epoch", "smoothing"} < set(losses.options("dice"))


@pytest.mark.parametrize(
    "name", sorted(set(losses.names()) - NEED_ALL_LABELS - {"pixel_pairs", "self_attention", "vq"})
)
def test_what_is_found_at_a_pixel_without_a_label_changes_nothing(name: str) -> None:
    """In slices of three classes whose numbers of classes, rows and columns differ."""
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 4, 5), dtype=torch.uint8)
    target[:, 1:3, 2:4] = 255
    logits = torch.randn(2, 3, 4, 5)
    other = torch.where((target == 255)[:, None], torch.randn(2, 3, 4, 5), logits)
    values = [losses.total({name: {}}, {"logits": each}, target)[0].item() for each in (logits, other)]
    assert values[0] == pytest.approx(values[1])
    logits[0, 0, 0, 0] += 3
    assert losses.total({name: {}}, {"logits": logits}, target)[0].item() != pytest.approx(values[0])
