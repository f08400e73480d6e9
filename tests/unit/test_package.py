"""The wheel: what pip installs works without a checkout, and says the same of itself everywhere."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from covidseg import __version__
from covidseg.inference.model import save
from tests.conftest import ROOT, Project
from tests.unit.inference.test_model import small


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, without a network, and unpack it as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def elsewhere(installed: Path, folder: Path) -> Project:
    """Return a folder without a checkout in which commands run from the unpacked wheel."""
    project = Project(folder)
    project.environment["PYTHONPATH"] = str(installed)
    project.environment["XDG_CACHE_HOME"] = str(folder / "cache")
    return project


def test_verbs_work_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    project = elsewhere(installed, tmp_path)
    where = project.run(sys.executable, "-c", "import covidseg; print(covidseg.__file__)")
    assert where.strip() == str(installed / "covidseg" / "__init__.py")
    for folder, mask in (("truth", [[255, 0], [255, 0]]), ("pred", [[255, 0], [0, 0]])):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.array(mask, np.uint8)).save(tmp_path / folder / "a.png")
    body = np.full((64, 64, 3), -1000, np.int16)
    body[4:60, 8:56] = 40
    body[12:28, 20:44] = body[36:52, 20:44] = -850
    nib.save(nib.Nifti1Image(body, np.diag([5.0, 5.0, 5.0, 1.0])), tmp_path / "scan.nii.gz")
    save(small(), tmp_path / "model.safetensors")
    verbs = {
        "--version": f"covidseg {__version__}\n",
        "--help": "predict",
        "params ssanet --follow released": "31095809\n",
        "score --protocol standard --truth truth --pred pred --out scores": "Dice 0.6667",  # 2 * 1 / (2 * 1 + 1)
        "predict model.safetensors scan.nii.gz --out masks --device cpu": "scan, infection",
        "lungs scan.nii.gz --out lungs": "scan, lung 285.0 ml",  # 2 * (16 * 24 - 4 corners) * 3 voxels of 125 mm3
    }
    said = project.verbs(*verbs)
    for verb, words in verbs.items():
        assert said[verb][0] == 0, said[verb][1]
        assert words in said[verb][1]
    assert np.asarray(nib.load(tmp_path / "lungs/scan.nii.gz").dataobj).sum() == 2280
    assert (tmp_path / "masks/scan.nii.gz").is_file()


def test_verbs_of_a_checkout_say_so_elsewhere(installed: Path, tmp_path: Path) -> None:
    """Also beside a folder ``workflow`` of another project."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config.yaml").touch()
    project = elsewhere(installed, tmp_path)
    commands = (
        "score --protocol nnunet --truth t --pred p --out o",
        "lungs a.nii.gz b.nii.gz",
        "lungs a.nii.gz --out o --source r2d2",
    )
    unknown, two, source = project.refused(*commands)
    assert "unknown protocol 'nnunet'; legal: attnfusion, " in unknown
    assert two == "covidseg: lungs takes either one DATASET, or scans and --out\n"
    assert source.startswith("covidseg: unknown --source 'r2d2'; legal: r231, r231covidweb, threshold")
    (tmp_path / "workflow").rmdir()
    assert project.refused("show")[0].startswith("covidseg: no folder 'workflow' here; run this in a checkout")


def test_a_protocol_may_be_a_file_of_ones_own(installed: Path, tmp_path: Path) -> None:
    metrics = "{overlap: {title: Overlap, better: higher, about: mine, measure: dice}}"
    (tmp_path / "mine.yaml").write_text(f"title: mine\nabout: mine\nengine: masks\nmetrics: {metrics}\n")
    code = "from covidseg import evaluate; print(evaluate.score_arrays('mine.yaml', [[1, 1]], [[1, 0]]))"
    said = elsewhere(installed, tmp_path).run(sys.executable, "-c", code)
    assert said == "{'overlap': 0.6666666666666666}\n"


def test_the_wheel_holds_types_and_settings_and_says_its_ranges(installed: Path) -> None:
    package = installed / "covidseg"
    assert (package / "py.typed").is_file()
    for kind in ("papers", "protocols"):
        ours = {path.name: path.read_bytes() for path in (ROOT / "workflow" / kind).glob("*")}
        assert {path.name: path.read_bytes() for path in (package / "workflow" / kind).glob("*")} == ours
    (info,) = (importlib.metadata.Distribution.at(path) for path in installed.glob("*.dist-info"))
    assert info.version == __version__
    needs = info.requires or []
    assert not [need for need in needs if "==" in need.split(";")[0]]
    assert {re.split(r"[<>=]", need)[0] for need in needs if "extra == 'pipeline'" in need} == {"dvc", "snakemake"}


def test_files_name_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## ([\d.]+)", changes, re.M)[0] == __version__
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dynamic"]


def test_every_paper_is_cited_and_linked() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    papers = [yaml.safe_load(path.read_text("utf-8"))["paper"] for path in (ROOT / "workflow/papers").glob("*.yaml")]
    published = {paper["doi"] for paper in papers if "doi" in paper}
    assert len(published) == 6  # five, and that of the lung network
    assert {reference["doi"] for reference in citation["references"]} == published
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"].values()
    assert {url.removeprefix("https://doi.org/") for url in urls} < published
