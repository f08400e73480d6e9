"""What a figure's caption says."""

from covidseg.figures import caption_of
from covidseg.plan import Plan


def test_examples_say_data_rule_and_stand_ins() -> None:
    stand_ins = {"covid-ct-seg": "zenodo20-slices", "medseg-1": "covid-semiseg"}
    text = caption_of(Plan.load({"mode": "paper", "stand_ins": stand_ins}), "ssanet", "1")
    assert "Slices of covid-semiseg: of each case the slice with the largest lesion that shows ggo and" in text
    assert text.endswith(
        "Mode paper. zenodo20-slices stands in for covid-ct-seg. covid-semiseg stands in for medseg-1."
    )
    assert caption_of(Plan.load({}), "ssanet", "1").endswith("Mode demo, phantom CT, not patients.")


def test_a_qualitative_figure_says_data_fold_rule_and_preset() -> None:
    text = caption_of(Plan.load({"folds": [2]}), "ssanet", "5")
    for part in (
        "Data: covid-ct-seg, split ma5, fold 2, seed 0.",
        "Slices: of the test slices whose true area is at least the median one, those on which the methods' Dice",
        "Mode demo, preset tiny. Differs from the paper: phantom CT, not patients; 1 of 5 folds (2).",
    ):
        assert part in text


def test_a_row_is_labelled_with_what_it_shows() -> None:
    own, other = Plan.load({"mode": "paper"}), Plan.load({})
    assert own.catalogue.label_of("Dataset1", "covid-ct-seg", stood_in=False) == "Dataset1"
    assert own.catalogue.label_of("Dataset1", "zenodo20-slices", stood_in=True) == "zenodo20-slices for Dataset1"
    assert other.catalogue.label_of("Dataset1", "covid-ct-seg", stood_in=False) == "Dataset1 (phantoms)"
    assert other.catalogue.label_of("", "covid-ct-seg", stood_in=True) == ""
