"""What presets make of a run: one factor for all that is counted in epochs, and caps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidseg.base.errors import UserError
from covidseg.plan import Plan
from covidseg.plan.resolve import reference, scale
from covidseg.schema import Preset, RunSpec
from tests.conftest import ROOT, edit
from tests.unit.data.small import write_nifti

SPEC: dict[str, Any] = {
    "dataset": "mine",
    "split": "mine",
    "classes": ["lesion"],
    "net": {"name": "unet"},
    "losses": {"dice": {}, "cross_entropy": {"from_epoch": 167}},
    "train": {"epochs": 667, "optimizer": {"lr": 0.01, "step": 60, "restart": {"epoch": 334, "lr": 0.002}}},
}

OWN = """\
paper: {{title: Mine}}
dataset: {{folder: {folder}}}
defaults:
  input: {{size: 256}}
  net: {{name: ssanet}}
  losses: {{dice: {{}}}}
  train: {{epochs: 25, optimizer: {{lr: 0.002, step: 20}}}}
runs: {{ours: {{}}}}
tables:
  "1": {{caption: Mine, protocol: scans, metrics: {{Dice: dice}}, rows: [{{label: Ours, run: ours}}]}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the settings, to change at will."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scaled(train: dict[str, Any] | None = None, **preset: Any) -> tuple[RunSpec, list[str]]:
    spec = RunSpec.model_validate(SPEC | ({"train": train} if train else {}))
    return scale(spec, Preset(about="test", **preset))


def test_a_network_may_have_a_width_of_its_own() -> None:
    widths = [scaled(width=0.5, widths=own)[0].net["width"] for own in ({}, {"unet": 0.125}, {"ssanet": 0.125})]
    assert widths == [0.5, 0.125, 0.5]


def test_a_width_of_an_unknown_network_is_refused(project: Path) -> None:
    edit(project / "workflow/presets/tiny.yaml", "width: 0.25", "width: 0.25\nwidths: {unett: 0.125}")
    with pytest.raises(UserError, match=r"presets/tiny\.yaml: widths: unknown network 'unett'; did you mean 'unet'\?"):
        Plan.load({}).run("infnet/unet")
    edit(project / "workflow/papers/ssanet.yaml", "infnet: 0.125}", "inf: 0.125}")
    with pytest.raises(UserError, match=r"ssanet\.yaml: presets\.tiny: widths: unknown network 'inf'"):
        Plan.load({}).run("ssanet/unet")


def test_most_epochs_is_one_factor_for_everything_counted_in_epochs() -> None:
    """667 epochs become 12: 167, 334 and 60 become 3, 6 and 1."""
    spec, changes = scaled(most_epochs=12)
    optimizer = spec.train.optimizer
    assert optimizer.restart is not None
    assert (spec.train.epochs, spec.losses["cross_entropy"]["from_epoch"]) == (12, 3)
    assert (optimizer.step, optimizer.restart.epoch, optimizer.restart.lr) == (1, 6, 0.002)
    assert changes == [
        "losses.cross_entropy.from_epoch 167 to 3",
        "train.epochs 667 to 12",
        "train.optimizer.step 60 to 1",
        "train.optimizer.restart.epoch 334 to 6",
    ]


@pytest.mark.parametrize(("factor", "epochs"), [(0.01, 7), (0.03, 20), (0.5, 20)])
def test_the_cap_counts_only_where_the_factor_leaves_more(factor: float, epochs: int) -> None:
    assert scaled(epochs=factor, most_epochs=20)[0].train.epochs == epochs


def test_the_longest_part_of_a_method_is_capped() -> None:
    """Label propagation: of 100, 10 and 200 epochs the last become 20."""
    train = {"method": "propagation", "pool": {"dataset": "mine"}, "epochs": 100, "finetune_epochs": 200}
    spec, _ = scaled(train, most_epochs=20)
    assert spec.train.model_dump(include={"epochs", "step_epochs", "finetune_epochs"}) == {
        "epochs": 10, "step_epochs": 1, "finetune_epochs": 20,
    }  # fmt: skip


def test_lr_most_caps_every_rate_after_the_factor() -> None:
    spec, changes = scaled(lr=0.5, lr_most=0.003)
    assert spec.train.optimizer.restart is not None
    assert (spec.train.optimizer.lr, spec.train.optimizer.restart.lr) == (0.003, 0.001)
    assert changes == ["train.optimizer.lr 0.01 to 0.003", "train.optimizer.restart.lr 0.002 to 0.001"]


def test_a_restart_that_no_longer_fits_is_left_out_and_said() -> None:
    spec, changes = scaled(most_epochs=1)
    assert spec.train.optimizer.restart is None
    assert changes[-1] == "train.optimizer.restart left out"


def test_a_users_own_epochs_are_taken_as_written(project: Path) -> None:
    """Of scans of one's own a preset scales the images and the network, never how long and how fast it learns."""
    scans = project / "scans"
    for name in "ab":
        write_nifti(scans / f"imagesTr/{name}.nii.gz", np.zeros((8, 8, 2), np.int16))
        write_nifti(scans / f"labelsTr/{name}.nii.gz", np.ones((8, 8, 2), np.uint8))
    (scans / "dataset.json").write_text('{"labels": {"background": 0, "lesion": 1}}')
    paper = project / "workflow/papers/mine.yaml"
    paper.write_text(OWN.format(folder=scans))
    plan = Plan.load({"mode": "paper", "papers": ["mine", "ssanet"], "preset": "cpu"})
    run = plan.run("mine/ours")
    assert (run.spec.train.epochs, run.spec.train.optimizer.step, run.spec.train.optimizer.lr) == (25, 20, 0.002)
    assert (run.spec.train.slices_per_epoch, run.spec.train.validate_every) == (0, 1)
    assert (run.spec.input.size, run.spec.net["width"]) == (128, 0.5)
    assert (run.epochs_in_words, plan.run("ssanet/m4").epochs_in_words) == ("25 epochs", "30 epochs instead of 150")
    assert plan.resolver.length(run) == "25 epochs; preset cpu changes input.size 256 to 128, net.width 1 to 0.5, " + (
        "train.batch 2 to 4"
    )
    edit(paper, "defaults:\n", "presets: {cpu: {epochs: 0.2}}\ndefaults:\n")  # unless the user says so
    run = Plan.load({"mode": "paper", "papers": ["mine"], "preset": "cpu"}).run("mine/ours")
    assert (run.spec.train.epochs, run.epochs_in_words) == (5, "5 epochs instead of 25")


def test_a_paper_may_scale_itself_under_a_preset(project: Path) -> None:
    paper = project / "workflow/papers/ssanet.yaml"
    before = Plan.load({}).run("ssanet/m4")
    edit(paper, "most_epochs: 14", "epochs: 0.02, folds: 1")
    run = Plan.load({}).run("ssanet/m4")
    assert (run.spec.train.epochs, run.folds) == (3, (0,))
    assert (before.spec.train.epochs, before.folds) == (14, (0, 1))
    assert run.spec.input == before.spec.input
    assert Plan.load({"preset": "cpu"}).run("ssanet/m4").spec.train.epochs == 30
    edit(paper, "epochs: 0.02, folds", "epoch: 0.02, folds")
    with pytest.raises(UserError, match=r"workflow/papers/ssanet.yaml: presets.tiny: epoch: unknown key"):
        Plan.load({}).run("ssanet/m4")


def test_a_preset_s_precision_decides_a_result(project: Path) -> None:
    """Left out it leaves no trace in the settings, so that results from before there was a choice stay valid."""
    hashes = {}
    for precision in ("auto", "float32", "bfloat16"):
        (project / "workflow" / "presets" / "mine.yaml").write_text(f"about: mine\nprecision: {precision}\n")
        run = Plan.load({"mode": "paper", "preset": "mine", "init": "random", "papers": ["infnet"]}).run(
            "infnet/infnet"
        )
        assert run.spec.model_dump().get("precision", "auto") == precision
        assert not run.scaled
        hashes[precision] = run.hash
    assert len(set(hashes.values())) == 3


def test_a_run_s_own_precision_goes_before_the_preset_s(project: Path) -> None:
    (project / "workflow" / "presets" / "mine.yaml").write_text("about: mine\nprecision: bfloat16\n")
    edit(project / "workflow" / "papers" / "infnet.yaml", "  infnet: {}", "  infnet: {precision: float32}")
    plan = Plan.load({"mode": "paper", "preset": "mine", "init": "random", "papers": ["infnet"]})
    assert [plan.run(run).spec.precision for run in ("infnet/infnet", "infnet/unet")] == ["float32", "bfloat16"]


def test_scales_replace_several_and_never_one() -> None:
    train = SPEC["train"]
    assert scaled({**train, "scales": [1.0, 0.75]}, scales=(1.0,))[0].train.scales == (1.0,)
    assert scaled({**train, "scales": [0.75]}, scales=(1.0, 1.25))[0].train.scales == (0.75,)


def test_a_factor_above_one_lengthens_a_single_epoch_too() -> None:
    assert scaled({"epochs": 1}, epochs=3)[0].train.epochs == 3


def test_the_reference_of_a_network_is_the_paper_that_brought_it() -> None:
    spec = reference("scoatnet", "described", ROOT / "workflow" / "papers")
    assert spec is not None
    assert (spec.net["name"], spec.dataset) == ("scoatnet", "scoat-private")
    assert reference("unet", "described", ROOT / "workflow" / "papers") is not None  # of the comparison of networks
    assert reference("no-such", "described", ROOT / "workflow" / "papers") is None
