"""Whether a validation that was still rising at a training's end is told from one that had come to rest."""

import pytest

from covidseg.evaluate.rising import note


@pytest.mark.parametrize(
    ("dsc", "said"),
    [
        ([0.1, 0.3, 0.5, 0.6, 0.7], "DSC +0.100 in"),  # of five validations the last one is the end
        ([0.1, 0.3, 0.5, 0.6, 0.609], None),  # less than 0.01
        ([0.1, 0.3, 0.7, 0.6, 0.7], None),
        ([0.1, 0.3, 0.5, 0.7], None),  # too few to tell
        ([], None),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.52, 0.51], "DSC +0.020 in"),  # the last two; their best counts
    ],
)
def test_a_rise_in_the_last_fifth_counts(dsc: list[float], said: str | None) -> None:
    found = note(dsc)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
