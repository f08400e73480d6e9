"""Splits: the committed ones are what the papers say, and broken ones are refused."""

from random import Random

import pytest

from covidseg.base.errors import UserError
from covidseg.data.importers.patients import patient
from covidseg.data.splits import folds_of, make, read, rule_of, write
from tests.unit.data.small import WORKFLOW

SPLITS = WORKFLOW / "splits"
GROUP_0 = ["coronacases_007", "coronacases_008", "radiopaedia_36_86526_0", "radiopaedia_4_85506_1"]


@pytest.mark.parametrize("name", ["ma5", "ma5-zenodo20"])
def test_five_folds_test_every_case_once(name):
    split = read(SPLITS / f"{name}.csv")
    assert split.folds == [0, 1, 2, 3, 4]
    assert split.cases(0, "test") == GROUP_0
    tested = [case for fold in split.folds for case in split.cases(fold, "test")]
    assert len(tested) == len(set(tested)) == (20 if name == "ma5" else 19)
    for fold in split.folds:
        everyone = {case for role in ("train", "val", "test") for case in split.cases(fold, role)}
        assert everyone == set(tested)
        (val,) = split.cases(fold, "val")
        assert patient(val) not in {patient(case) for case in split.cases(fold, "test") + split.cases(fold, "train")}


@pytest.mark.parametrize(("name", "published", "moved"), [
    ("ma5-patients", "ma5", ["radiopaedia_10_85902_3", "radiopaedia_29_86491_1"]),
    ("ma5-patients-zenodo20", "ma5-zenodo20", ["radiopaedia_10_85902_3"]),
])  # fmt: skip
def test_the_split_that_keeps_patients_together(name, published, moved):
    split, old = read(SPLITS / f"{name}.csv"), read(SPLITS / f"{published}.csv")
    for fold in split.folds:
        tested, fit = (split.cases(fold, role) for role in ("test", "train"))
        assert not {patient(case) for case in tested} & {patient(case) for case in fit + split.cases(fold, "val")}
        assert split.cases(fold, "val") == old.cases(fold, "val")
        assert sorted(tested + fit) == sorted(old.cases(fold, "test") + old.cases(fold, "train"))
    homes = [{case: k for k in s.folds for case in s.cases(k, "test")} for s in (split, old)]
    assert sorted(case for case in homes[0] if homes[0][case] != homes[1][case]) == moved


def test_the_other_direction():
    split = read(SPLITS / "ma5-4-16.csv")
    for fold in split.folds:
        assert [len(split.cases(fold, role)) for role in ("train", "val", "test")] == [3, 1, 16]
    assert sorted(split.cases(0, "train") + split.cases(0, "val")) == GROUP_0


def test_inf_net():
    split = read(SPLITS / "infnet-45-5-48.csv")
    assert split.folds == [0]
    assert split.cases(0, "val") == ["2", "23", "31", "33", "58"]
    assert [len(split.cases(0, role)) for role in ("train", "test")] == [45, 48]
    everyone = {int(case) for role in ("train", "val", "test") for case in split.cases(0, role)}
    assert everyone == set(range(100)) - {22, 48}


def test_dataset3():
    paper, clean = (read(SPLITS / f"dataset3-{name}.csv") for name in ("paper", "clean"))
    volumes = [f"volume_{k}" for k in range(1, 10)]
    assert paper.cases(0, "val") == paper.cases(0, "test") == volumes
    assert clean.cases(0, "val") == sorted(Random(0).sample(volumes, 3)) == ["volume_1", "volume_7", "volume_9"]
    assert sorted(clean.cases(0, "val") + clean.cases(0, "test")) == volumes
    for split in (paper, clean):
        assert split.folds == [0]
        assert [int(case) for case in split.cases(0, "train")] == [k for k in range(100) if k not in (22, 48)]


def test_the_stand_in_for_dataset3_validates_on_what_it_tests():
    both, plain = (read(SPLITS / f"infnet-50-48{name}.csv") for name in ("-val", ""))
    assert both.cases(0, "train") == plain.cases(0, "train")
    assert both.cases(0, "val") == both.cases(0, "test") == plain.cases(0, "test")
    assert plain.cases(0, "val") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold,case,role\n0,a,train+test\n", r"role 'train\+test' of case 'a'; only val\+test go together"),
        ("fold,case,role\n0,a,val+val\n", r"role 'val\+val' of case 'a'; only val\+test go together"),
        ("fold,case,role\n0,a,val+tset\n", "unknown role 'tset' of case 'a'; did you mean 'test'?"),
        ("fold,case,role\n0,b,train\n0,a,val+test\n0,a,test\n", "case 'a' is twice in fold 0"),
        ("fold,case,role\n0,a,train\n0,a,test\n", "case 'a' is twice in fold 0"),
        ("fold,case,role\n0,a,tran\n", "unknown role 'tran' of case 'a'; did you mean 'train'?"),
        ("fold,case\n0,a\n", "expected the columns fold,case,role, found fold,case"),
        ("fold,case,role\nx,a,test\n", "fold 'x' of case 'a' is not a whole number"),
        ("fold,case,role\n0,a,test\n", "fold 0 has no train cases"),
        ("fold,case,role\n", "no folds"),
    ],
)
def test_broken_splits(text, message, tmp_path):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "s.csv")


def test_what_is_not_there(tmp_path):
    split = read(SPLITS / "infnet-45-5-48.csv")
    with pytest.raises(UserError, match="no fold 1; it has 0"):
        split.cases(1, "test")
    with pytest.raises(UserError, match="unknown role 'tests'"):
        split.cases(0, "tests")
    with pytest.raises(UserError, match="no such split"):
        read(tmp_path / "none.csv")


def scans(count, role="train"):
    return [(f"{role}{k}", f"{role}{k}", role) for k in range(count)]


@pytest.mark.parametrize(("count", "rule", "sizes"), [(50, "folds-5", (36, 4, 10)), (3, "folds-3", (1, 1, 1)),
                                                      (2, "folds-2", (1, 0, 1))])  # fmt: skip
def test_folds_are_made_of_the_labelled_scans(count, rule, sizes, tmp_path):
    split = make(rule, scans(count) + scans(4, "test"), tmp_path / "s.csv")
    assert split.folds == folds_of(rule)
    tested = [case for fold in split.folds for case in split.cases(fold, "test")]
    assert sorted(tested) == sorted(name for name, _, _ in scans(count))  # held-out scans stay out
    for fold in split.folds:
        assert tuple(len(split.cases(fold, role)) for role in ("train", "val", "test")) == sizes
        assert len({case for role in ("train", "val", "test") for case in split.cases(fold, role)}) == count
    assert make(rule, scans(count)[::-1] + scans(4, "test"), tmp_path / "s.csv").folds == split.folds
    write(split, "made")
    assert read(tmp_path / "s.csv") == split
    (tmp_path / "s.csv").write_text("\n".join((tmp_path / "s.csv").read_text().splitlines()[1:]), "utf-8-sig")
    assert read(tmp_path / "s.csv") == split  # as a spreadsheet writes it


def test_hold_out_tests_what_the_folder_holds_out(tmp_path):
    split = make("hold-out", scans(20) + scans(3, "test"), tmp_path)
    assert split.cases(0, "test") == ["test0", "test1", "test2"]
    assert (len(split.cases(0, "val")), len(split.cases(0, "train"))) == (2, 18)


def test_a_patients_scans_stay_together(tmp_path):
    cases = [(f"p{k}-{visit}", f"p{k}", "train") for k in range(6) for visit in (1, 2)]
    split = make("folds-3", cases, tmp_path)
    for fold in split.folds:
        sides = [{case.split("-")[0] for case in split.cases(fold, role)} for role in ("train", "val", "test")]
        assert [len(side) for side in sides] == [3, 1, 2]
        assert len(set.union(*sides)) == 6


@pytest.mark.parametrize(("rule", "cases", "message"), [
    ("folds-5", scans(4), "4 labelled patients for folds-5; label more, or make fewer folds"),
    ("hold-out", scans(4), "no labelled test scans"),
    ("hold-out", scans(4, "test"), "no labelled scans to train on"),
])  # fmt: skip
def test_too_few_for_a_rule(rule, cases, message, tmp_path):
    with pytest.raises(UserError, match=message):
        make(rule, cases, tmp_path / "s.csv")


def test_names_of_made_splits():
    assert rule_of("mine-folds-5") == ("mine", "folds-5")
    assert rule_of("covid-ct-seg-hold-out") == ("covid-ct-seg", "hold-out")
    assert [rule_of(name) for name in ("ma5", "folds-5", "mine-folds-1", "mine-folds-21")] == [None] * 4


def test_who_shows_no_lesion_validates_last(tmp_path):
    usual = make("folds-3", scans(6), tmp_path)
    without = set(usual.cases(0, "val"))
    split = make("folds-3", scans(6), tmp_path, without)
    assert [split.cases(fold, "test") for fold in range(3)] == [usual.cases(fold, "test") for fold in range(3)]
    assert all(not without & set(split.cases(fold, "val")) and split.cases(fold, "val") for fold in range(3))
