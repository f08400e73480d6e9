"""What a plan needs from outside, and whether it can be had: in place, in the mirror, by download, or not at all."""

from __future__ import annotations

from pathlib import Path

from covidseg.plan import Plan
from covidseg.upkeep.supplies import supplies


def told(tmp_path: Path, paper: str, **more: object) -> dict[str, tuple[bool, bool, str]]:
    """Return what -> whether it is there, whether it can be had, and what is said of it."""
    places = {"data": str(tmp_path / "data"), "results": str(tmp_path / "results"), "mirror": str(tmp_path / "mirror")}
    plan = Plan.load({"mode": "paper", "papers": [paper], **places, **more})
    found = {}
    for supply in supplies(plan):
        what, _, words = supply.words.partition(": ")
        found[what] = (supply.there, supply.possible, words)
    return found


def test_nothing_in_demo_mode(tmp_path: Path) -> None:
    assert told(tmp_path, "infnet", mode="demo") == {}


def test_data_by_download_from_the_mirror_and_in_place(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    there, possible, words = told(tmp_path, "ssanet")["covid-ct-seg"]
    assert (there, possible) == (False, True)
    assert words.startswith("to be downloaded from zenodo.org; licence: CC BY-NC-SA")
    sources = [source.name for source in Plan.load({"mode": "paper"}).dataset("covid-ct-seg").sources]
    for name in sources[1:]:
        (tmp_path / "mirror/covid-ct-seg" / name).mkdir(parents=True)
    assert told(tmp_path, "ssanet")["covid-ct-seg"][2].startswith("to be downloaded")  # the first is not there
    (tmp_path / "mirror/covid-ct-seg" / sources[0]).mkdir(parents=True, exist_ok=True)
    assert told(tmp_path, "ssanet")["covid-ct-seg"] == (False, True, "in the mirror")
    raw = tmp_path / "data/paper/raw/covid-ct-seg/fetched.json"
    raw.parent.mkdir(parents=True)
    raw.write_text("{}")
    assert told(tmp_path, "ssanet")["covid-ct-seg"] == (True, True, "in place")


def test_data_without_an_address_and_weights_that_only_the_mirror_has(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    there, possible, words = told(tmp_path, "ssanet", stand_ins={"covid-ct-seg": "zenodo20-slices"})["zenodo20-slices"]
    assert (there, possible) == (False, False)
    assert words == "no public address; set mirror: to a folder that holds zenodo20-slices/ct"
    there, possible, words = told(tmp_path, "attnfusion")["poolnet"]
    assert (there, possible) == (False, False)
    assert "see config.yaml" in words


def test_published_weights(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (name,) = [what for what in told(tmp_path, "infnet") if "r231covid" in what]
    assert told(tmp_path, "infnet")[name] == (False, True, "to be downloaded from github.com")
    (tmp_path / "mirror/weights").mkdir()
    (tmp_path / "mirror/weights" / name).write_bytes(b"")
    assert told(tmp_path, "infnet")[name] == (False, True, "in the mirror")
    (tmp_path / "data/weights").mkdir(parents=True)
    (tmp_path / "data/weights" / name).write_bytes(b"")
    assert told(tmp_path, "infnet")[name] == (True, True, "in place")
