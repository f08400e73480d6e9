"""The leak check: planted leaks are found, clean splits are clean, the known cases in real data come up."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from covidseg import leaks
from covidseg.base.errors import UserError
from covidseg.data import canonical, importers, splits
from covidseg.data.canonical import Case
from covidseg.data.importers.patients import patient
from covidseg.leaks import alike, words
from covidseg.leaks.alike import Pictures
from covidseg.lungs import write_masks
from tests.unit.data.small import WORKFLOW, dataset, own

SIZE = 128


def chest(seed: int) -> np.ndarray:
    """Return a slice of its own: two dark lungs at the same place for all seeds, and a texture of its own over them."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    lungs = ((np.abs(x) - 0.22) / 0.16) ** 2 + (y / 0.33) ** 2 < 1
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((SIZE, SIZE)), 4)
    return (140 - 40 * lungs + 45 * noise / noise.std()).clip(0, 255).astype(np.uint8)


def store(
    folder: Path, cases: dict[str, np.ndarray], patients: dict[str, str], roles: dict[str, str], name: str = "own"
):
    """Write slices as cases of one slice each, unlabelled ones without labels, and read them as the check does."""
    data = own(keep="all")
    written = []
    for case, image in cases.items():
        role = roles.get(case, "labelled")
        label = None if role == "unlabelled" else np.zeros((1, *image.shape), np.uint8)
        written.append(Case(case, patients.get(case, case), role, image[None], label))
    canonical.write(written, data, folder)
    write_masks(folder, folder / "lungs.h5", "none", None)
    return alike.read(name, data, folder)


def one_fold(train: str, test: str, val: str = "") -> splits.Split:
    return splits.Split(Path("s.csv"), {0: {"train": train.split(), "val": val.split(), "test": test.split()}})


def brief(found: list[leaks.Leak]) -> list[tuple[str, str, str, str, str]]:
    return [(leak.kind, leak.by, leak.role, leak.train, leak.test) for leak in found]


@pytest.fixture
def slices(tmp_path: Path):
    """Return a function that makes a store of clean slices a..f with some of them replaced."""

    def make(patients: dict[str, str] | None = None, roles: dict[str, str] | None = None, **planted: np.ndarray):
        cases = {case: chest(seed) for seed, case in enumerate("abcdef")} | planted
        return store(tmp_path / "store", cases, patients or {}, roles or {})

    return make


def test_a_clean_split_has_no_leak(slices) -> None:
    assert leaks.find("own", slices(), one_fold("a b c", "e f", val="d")) == []


ALTERED = {
    "noise": lambda x: x + np.random.default_rng(9).normal(0, 12, x.shape),
    "shift": lambda x: np.roll(x, (2, -3), (0, 1)),
    "contrast": lambda x: 255 * (x / 255) ** 0.6,
    "darker": lambda x: 0.4 * x,
    "cropped": lambda x: x[2:-2, 3:-3],
}


@pytest.mark.parametrize("how", ALTERED)
def test_the_same_slice_altered_is_found(slices, how: str) -> None:
    planted = ALTERED[how](chest(0).astype(float)).clip(0, 255).astype(np.uint8)
    found = leaks.find("own", slices(f=planted), one_fold("a b c", "e f", val="d"))
    assert brief(found) == [("patient", "picture", "train", "a", "f"), ("slice", "picture", "train", "a/000", "f/000")]
    assert found[1].correlation > 0.8


def test_a_mirrored_slice_is_another_one(slices) -> None:
    assert leaks.find("own", slices(f=np.ascontiguousarray(chest(0)[::-1])), one_fold("a b c", "e f")) == []


def test_one_patient_by_name(slices) -> None:
    found = leaks.find("own", slices({"d": "p", "f": "p"}), one_fold("a b c", "e f", val="d"))
    assert brief(found) == [("patient", "name", "val", "d", "f")]
    assert found[0].patient == "p"
    found = leaks.find("own", slices({"d": "p", "c": "p"}), one_fold("a b c", "e f", val="d"))
    assert found == []  # on one side


def test_slices_that_are_alike_as_those_of_different_bodies_can_be_accuse_nobody(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alike, "BITS", 64)
    first, other = chest(0).astype(float), chest(1).astype(float)
    pair = {"a": chest(0), "b": (0.6 * first + 0.4 * other).astype(np.uint8)}
    slices = store(tmp_path, pair, {}, {})
    value = float(alike.pairs(slices.of([0]), slices.of([1]))[2][0])
    monkeypatch.setattr(alike, "ALIKE", value + 0.01)
    monkeypatch.setattr(alike, "POSSIBLE", value - 0.01)
    found = leaks.find("own", slices, one_fold("a", "b"))
    assert [(leak.kind, leak.patient) for leak in found] == [("possible", "b")]
    said = words.finding("own", found, {"b"})
    assert said.startswith(
        "Leaks: no patient, case or near-duplicate slice stands on both sides. Possible: slices of 1 "
    )
    assert f"(correlation {value:.2f}; 0.82 is certain)" in said


def test_a_chain_of_near_duplicates_is_one_patient(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(alike, "BITS", 64)
    first, other = chest(0).astype(float), chest(1).astype(float)
    mixed = [(share * first + (1 - share) * other).astype(np.uint8) for share in (1, 0.7, 0.4)]  # each like the next
    found = leaks.find("own", store(tmp_path, dict(zip("abc", mixed, strict=True)), {}, {}), one_fold("a b", "c"))
    assert brief(found)[:2] == [("patient", "picture", "train", "a", "c"), ("patient", "picture", "train", "b", "c")]
    assert {leak.patient for leak in found[:2]} == {"a|b|c"}
    assert (found[0].correlation or 0) < alike.ALIKE < found[1].correlation


def test_unlabelled_slices_beside_a_test(slices) -> None:
    found = leaks.find("own", slices(roles={"a": "unlabelled"}, patients={"a": "p", "f": "p"}), one_fold("b c", "e f"))
    assert brief(found) == [("patient", "name", "unlabelled", "a", "f")]
    assert leaks.find("own", slices(patients={"a": "p", "f": "p"}), one_fold("b c", "e f")) == []  # labelled, unused


def test_a_case_that_validates_and_is_tested_is_said_once(slices, tmp_path: Path) -> None:
    pictures = slices(f=chest(4))  # e and f look alike, and both do both: their names say it all
    split = one_fold("a b c", "d e f", val="e f")
    found = leaks.find("own", pictures, split)
    assert brief(found) == [("case", "name", "val", "e", "e"), ("case", "name", "val", "f", "f")]
    text = leaks.write("own", split, pictures, "s", tmp_path / "l.csv", tmp_path / "l.json")
    assert text == "Leaks: 2 test cases also choose the best epoch."
    assert json.loads((tmp_path / "l.json").read_text())["within"] == {"patient": 0, "case": 2, "slice": 0}
    text = leaks.write("own", one_fold("a", "e", val="e"), pictures, "s", tmp_path / "l.csv", tmp_path / "l.json")
    assert text == "Leaks: 1 test case also chooses the best epoch."


def test_a_pool_with_a_near_duplicate_of_a_test_slice_is_found_and_named(tmp_path: Path) -> None:
    first = store(tmp_path / "1", {"v": chest(0), "w": ALTERED["noise"](chest(5)).clip(0, 255)}, {}, {}, "pooled")
    second = store(tmp_path / "2", {case: chest(seed) for seed, case in enumerate("bcdef", 1)}, {}, {})
    files = (tmp_path / "l.csv", tmp_path / "l.json")
    split = one_fold("b c", "e f", val="d")
    found = leaks.find("own", second + first, split, {"pooled": set()})
    assert brief(found) == [("patient", "picture", "pool", "w", "f"), ("slice", "picture", "pool", "w/000", "f/000")]
    text = leaks.write("own", split, second + first, "s", *files, {"pooled": set()})
    assert text == (
        "Leaks: 1 of 2 tested patients also stand in the pool of unlabelled slices, pooled "
        "(1 tested slice has a near-duplicate there)."
    )
    clean = leaks.write("own", split, second + first.without({"w"}), "s", *files, {"pooled": {"w"}})
    assert clean == f"Leaks: {words.NONE}."
    assert json.loads(files[1].read_text())["pools"] == {"pooled": ["w"]}
    beside = leaks.write("own", split, second + first, "s", *files, {"pooled": {"w"}})  # others train on w
    assert beside.startswith(f"Leaks: {words.NONE}. 1 of 2 tested patients also stand in pooled (1 tested slice has")


def test_a_pool_of_its_own_unlabelled_slices(slices) -> None:
    pictures = slices(roles={"a": "unlabelled"}, patients={"a": "p", "f": "p"})
    found = leaks.find("own", pictures, one_fold("b c", "e f"), {"own": set()})
    assert brief(found) == [("patient", "name", "pool", "a", "f")]
    assert brief(leaks.find("own", pictures, one_fold("b c", "e f"), {"own": {"a"}}))[0][2] == "unlabelled"


def test_two_data_sets_share_a_volume_a_patient_and_a_slice(tmp_path: Path) -> None:
    first = store(tmp_path / "1", {"v": chest(0), "w": chest(1), "x": chest(2), "1": chest(3)}, {"w": "p"}, {}, "one")
    again = {"v": chest(10), "y": chest(11), "z": ALTERED["contrast"](chest(2)).astype(np.uint8), "1": chest(12)}
    second = store(tmp_path / "2", again, {"y": "p"}, {}, "two")
    assert brief(leaks.between(first, second)) == [
        ("case", "name", "labelled", "v", "v"),
        ("patient", "name", "labelled", "w", "y"),
        ("patient", "picture", "labelled", "x", "z"),
        ("slice", "picture", "labelled", "x/000", "z/000"),
    ]  # and 1 is only a number


@pytest.mark.parametrize(("name", "folds"), [
    ("ma5", {2: {"radiopaedia_10", "radiopaedia_29"}, 4: {"radiopaedia_10", "radiopaedia_29"}}),
    ("ma5-zenodo20", {2: {"radiopaedia_10"}, 4: {"radiopaedia_10"}}),
    ("ma5-patients", {}),
    ("ma5-patients-zenodo20", {}),
])  # fmt: skip
def test_the_committed_splits(tmp_path: Path, name: str, folds: dict[int, set[str]]) -> None:
    split = splits.read(WORKFLOW / "splits" / f"{name}.csv")
    names = sorted(case for role in ("train", "val", "test") for case in split.cases(0, role))
    pictures = store(tmp_path, {case: chest(k) for k, case in enumerate(names)}, {c: patient(c) for c in names}, {})
    found: dict[int, set[str]] = {}
    for leak in leaks.find("own", pictures, split):
        assert (leak.kind, leak.by, leak.role) == ("patient", "name", "train")
        found.setdefault(leak.fold, set()).add(leak.patient)
    assert found == folds


def test_local_brightness_does_not_count() -> None:
    """A picture and the same with a slow ramp of grey are alike; a flat one is 0."""
    picture = np.random.default_rng(0).integers(60, 120, (1, 32, 32)).astype(np.uint8)
    ramp = np.linspace(0, 120, 32).astype(np.uint8)[None, None]
    plain, ramped = alike.pictures_of(picture)[0], alike.pictures_of(picture + ramp)[0]
    assert np.corrcoef(plain.ravel(), ramped.ravel())[0, 1] > 0.95
    assert abs(float(plain.mean())) < 0.05
    assert np.abs(alike.pictures_of(np.full((1, 32, 32), 90, np.uint8))).max() < 1e-3


def test_a_slice_is_cut_to_its_lungs() -> None:
    """Columns 40 to 103 of a ramp over 128: 64 columns shrunk to 32 are means of two, 40.5, 42.5, ... rounded."""
    image = np.tile(np.arange(128, dtype=np.uint8), (128, 1))
    lung = np.zeros_like(image)
    lung[32:96, 40:104] = 1
    _, cut = alike._shrunk(image, lung)
    assert [int(cut[0, 0]), int(cut[0, -1])] in ([40, 102], [41, 103])
    assert int(alike._shrunk(image, None)[1][0, -1]) > 120


def test_patients_elsewhere_are_those_known_by_name_or_as_one_case() -> None:
    """Of the three tested patients one is known to stand in the other data; of another a slice looks like one there."""

    def leak(kind: str, patient: str) -> leaks.Leak:
        return leaks.Leak(0, kind, "picture", "other", "train", patient, "x", patient, 0.9)

    found = words._elsewhere([leak("patient", "p"), leak("slice", "q")], {"p", "q", "r"})
    assert found == {
        "other": "1 of 3 tested patients also stand in {where} (1 tested slice has a near-duplicate there)"
    }


def test_names_are_joined_in_words() -> None:
    assert words._and(["46", "5", "17", "5"]) == "5, 17 and 46"
    assert words._and(["b", "a"]) == "a and b"
    assert words._and(["a"]) == "a"


def test_the_files_and_the_finding(slices, tmp_path: Path) -> None:
    pictures = slices({"d": "p", "f": "p"}, {"b": "unlabelled"}, e=chest(0), b=chest(4))
    text = leaks.write("own", one_fold("a c", "e f", val="d"), pictures, "s", tmp_path / "l.csv", tmp_path / "l.json")
    assert text == (
        "Leaks: fold 0 validates on patient p, who is tested; train a looks like the patient of test e (fold 0); "
        "1 tested slice has a near-duplicate in training."
    )
    assert (tmp_path / "l.csv").read_text().splitlines() == [
        '"fold","kind","by","data","role","patient","train","test","correlation"',
        '0,"patient","picture","own","train","a|e","a","e",1.000',
        '0,"patient","name","own","val","p","d","f",',
        '0,"slice","picture","own","train","e","a/000","e/000",1.000',
    ]
    facts = json.loads((tmp_path / "l.json").read_text())
    assert facts["within"] == {"patient": 2, "case": 0, "slice": 1}
    assert facts["finding"] == text
    assert (facts["dataset"], facts["split"], facts["compared_with"]) == ("own", "s", [])
    text = leaks.write("own", one_fold("c", "e", val="a"), pictures, "s", tmp_path / "l.csv", tmp_path / "l.json")
    assert text == (
        "Leaks: val a looks like the patient of test e (fold 0); 1 tested slice has a near-duplicate in validation."
    )
    none = leaks.write("own", one_fold("c", "f"), pictures, "s", tmp_path / "l.csv", tmp_path / "l.json")
    assert none == "Leaks: no patient, case or near-duplicate slice stands on both sides."


def test_a_split_of_another_data_set_is_refused(slices) -> None:
    with pytest.raises(UserError, match=r"s.csv: none of its cases is in own; name a split of this data set"):
        leaks.find("own", slices(), one_fold("x", "y"))
    assert leaks.find("own", slices(), one_fold("a x", "f y")) == []  # x and y: cases without a slice to use


def test_hash_by_hand() -> None:
    rising, falling = np.arange(9), np.arange(9)[::-1]
    small = np.array([[rising] * 8, [falling] * 8, [rising] * 4 + [falling] * 4], np.uint8)
    assert [int(bits).bit_count() for bits in alike.hashes_of(small)] == [64, 0, 32]


# ---- real slices


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pictures]:
    out = {}
    for name in ("covid-semiseg", "zenodo20-slices"):
        folder, data = tmp_path_factory.mktemp(name), dataset(name)
        canonical.write(importers.cases(shared_data / name, data), data, folder)
        write_masks(folder, folder / "lungs.h5", "labels" if data.lungs == "labels" else "none", None)
        out[name] = alike.read(name, data, folder)
    return out


def committed(name: str) -> splits.Split:
    return splits.read(WORKFLOW / "splits" / f"{name}.csv")


def test_real_radiopaedia_10_is_on_both_sides(real: dict[str, Pictures]) -> None:
    found = leaks.find("zenodo20-slices", real["zenodo20-slices"], committed("ma5-zenodo20"))
    assert [(leak.fold, leak.train, leak.test) for leak in found if leak.kind == "patient"] == [
        (2, "radiopaedia_10_85902_3", "radiopaedia_10_85902_1"),
        (4, "radiopaedia_10_85902_1", "radiopaedia_10_85902_3"),
    ]
    copies = [leak for leak in found if leak.kind == "slice"]
    assert {leak.patient for leak in copies} == {"radiopaedia_10"}  # pictures alone would have told; no false alarm
    assert [sum(leak.fold == fold for leak in copies) for fold in (2, 4)] == [5, 20]


def test_real_train_5_17_46_and_test_91_93_are_one_patient(real: dict[str, Pictures]) -> None:
    found = leaks.find("covid-semiseg", real["covid-semiseg"], committed("infnet-50-48"))
    pairs = {(leak.train, leak.test): leak.correlation for leak in found if leak.kind == "patient"}
    assert sorted(pairs) == [("17", "91"), ("46", "93"), ("5", "93")]
    direct = sorted(pair for pair, r in pairs.items() if r and r >= alike.ALIKE)
    assert direct == [("17", "91"), ("5", "93")]  # the other by a chain: 46 is like 5
    assert {leak.role for leak in found} == {"train"}  # its unlabelled slices show other patients


def test_real_unlabelled_slices_are_the_patients_of_the_other_data_set(real: dict[str, Pictures]) -> None:
    unlabelled = real["covid-semiseg"].of(
        [k for k, item in enumerate(real["covid-semiseg"].items) if item.role == "unlabelled"]
    )
    assert len(unlabelled.items) == 1600
    every_third = real["zenodo20-slices"].of(range(0, 1614, 3))
    found = leaks.between(unlabelled, every_third)
    named = {leak.patient for leak in found if leak.by == "name"}
    assert len(named) == 18  # 20 volumes; radiopaedia_10 and _29 have two each
    copies = [leak for leak in found if leak.kind == "slice"]
    assert len(copies) > 10
    assert all(leak.patient.split("_")[1] in leak.train for leak in copies)  # every picture found is of that patient


def test_of_many_slices_thumbnails_lose_no_near_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans of 60 bodies with the same lungs, and of every third one a copy: noisy, or moved by a pixel of 32."""
    random, own = np.random.default_rng(0), []
    for body in range(60):
        own.append(chest(body)[::4, ::4].astype(float))
    copies = [np.roll(each, k % 2, axis=k % 2) + random.normal(0, 3, each.shape) for k, each in enumerate(own[::3])]
    small = np.stack([*own, *copies]).clip(0, 255).astype(np.uint8)
    items = [alike.Item("many", f"{k}/0", str(k), str(k), "train") for k in range(len(small))]
    slices = Pictures(items, alike.hashes_of(small[:, 2:32:4, 1:28:3]), alike.pictures_of(small))
    every = alike.pairs(slices, slices)
    monkeypatch.setattr(alike, "FEW", 0)
    monkeypatch.setattr(alike, "THUMBNAILS_AT_ONCE", 1000)  # several blocks
    some = alike.pairs(slices, slices)

    def near(found: tuple[np.ndarray, ...]) -> set[tuple[int, int]]:
        i, j, r = found
        return set(zip(i[r >= alike.ALIKE].tolist(), j[r >= alike.ALIKE].tolist(), strict=True))

    planted = {(3 * k, 60 + k) for k in range(20)}
    assert near(some) == planted | {(b, a) for a, b in planted}
    assert near(every) < near(some)  # the hash misses some that are moved
    assert len(some[0]) == 40  # no other pair was compared further


def picture(train: str, test: str, patient: str, fold: int = 0) -> leaks.Leak:
    return leaks.Leak(fold, "patient", "picture", "own", "train", patient, train, test, 0.9)


def test_three_groups_are_named_and_more_are_counted() -> None:
    found = [picture(f"{k}", f"{k}0", f"p{k}") for k in range(1, 6)]
    named = "; ".join(f"train {k} looks like the patient of test {k}0 (fold 0)" for k in (1, 2, 3))
    assert words.finding("own", found[:3], set()) == f"Leaks: {named}."
    assert words.finding("own", found, set()) == f"Leaks: {named}; 2 more groups look like one patient."


def test_each_other_data_set_says_its_own() -> None:
    """Patient p stands in one of them, a slice that looks like one of patient q in the other."""
    found = [
        leaks.Leak(0, "patient", "name", "first", "labelled", "p", "a", "b", None),
        leaks.Leak(0, "slice", "picture", "second", "labelled", "q", "c/0", "d/0", 0.9),
    ]
    assert words.finding("own", found, {"p", "q"}) == (
        f"Leaks: {words.NONE}. 1 of 2 tested patients also stand in first: never train there and test here. "
        "0 of 2 tested patients also stand in second (1 tested slice has a near-duplicate there): never train there "
        "and test here."
    )
