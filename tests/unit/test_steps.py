"""Steps that answer a question: how many parameters a network has."""

from __future__ import annotations

import pytest

from covidseg import steps
from covidseg.base.errors import UserError


def test_parameters_of_a_network_as_its_paper_has_it_or_of_other_channels() -> None:
    """U-Net has 576 weights for each channel that it sees, and 64 weights and a bias for each that it gives."""
    own = steps.params("unet", "described", None, None)
    assert own == 31_036_481
    assert steps.params("unet", "described", 3, None) == own + 2 * 576
    assert steps.params("unet", "described", None, 5) == own + 4 * 65
    assert steps.params("ssanet", "released", None, None) == 31_095_809
    assert steps.params("ssanet", "described", None, None) == 31_120_449
    assert steps.params("fcn8s", "described", None, None) > 0  # of no paper


@pytest.mark.parametrize(
    ("net", "follow", "message"),
    [
        ("unett", "described", r"unknown network 'unett'.*did you mean 'unet'"),
        ("unet", "printed", r"--follow: unknown value 'printed'; legal: described, released"),
        ("fcn8s", "released", r"--follow: no paper has 'fcn8s' as its default network; leave it out"),
    ],
)
def test_what_cannot_be_counted_is_refused(net: str, follow: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        steps.params(net, follow, None, None)
