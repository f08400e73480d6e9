"""Rows resolve to specs: described or released, the row's own settings, the preset, the mode, stand-ins."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import CHECKED, Plan
from covidseg.plan.resolve import merge
from covidseg.schema import Paper, Reads
from tests.conftest import edit

REAL = {"mode": "paper"}


def test_described_follows_the_text() -> None:
    spec = Plan.load(REAL).run("ssanet/m4").spec
    assert (spec.input.mode, spec.input.size, spec.input.channels) == ("slice+lung", 512, 2)
    assert (spec.net["skip"], spec.net["spatial_conv"]) == ("concat", True)
    assert (spec.train.epochs, spec.train.batch, spec.train.accumulate) == (150, 2, 24)
    assert spec.train.optimizer.recreate is False
    assert spec.losses == {"dice": {"smoothing": "corrected"}, "self_attention": {"weight": 0.1}}


def test_released_takes_every_deviation() -> None:
    run = Plan.load(REAL).run("ssanet/m4-released")
    assert (run.spec.input.mode, run.spec.input.channels, run.spec.net["skip"]) == ("masked", 1, "add")
    assert (run.spec.train.epochs, run.spec.train.optimizer.recreate) == (400, True)
    assert run.spec.losses["dice"] == {"smoothing": "released"}
    assert run.released == ("input", "skip", "epochs", "optimizer", "dice")


def test_rows_of_the_ablation() -> None:
    plan = Plan.load(REAL)
    assert "self_attention" not in plan.run("ssanet/m1").spec.losses
    assert plan.run("ssanet/m1").spec.net["spatial_conv"] is False
    assert plan.run("ssanet/m2").spec.losses["self_attention"].get("from_epoch", 0) == 0
    starts = [plan.run(f"ssanet/e{n}").spec.losses["self_attention"]["from_epoch"] for n in range(1, 7)]
    assert starts == [10, 20, 30, 40, 50, 60]


def test_the_tiny_preset_scales_epochs_and_where_self_attention_starts() -> None:
    plan = Plan.load({})  # demo, so tiny
    starts = [plan.run(f"ssanet/e{n}").spec.losses["self_attention"]["from_epoch"] for n in range(1, 7)]
    assert starts == [1, 2, 3, 4, 5, 6]
    run = plan.run("ssanet/e4")
    assert (run.spec.train.epochs, run.spec.input.size, run.spec.net["width"]) == (14, 64, 0.25)
    assert run.scaled == (
        "input.size 512 to 64",
        "net.width 1 to 0.25",
        "losses.self_attention.from_epoch 40 to 4",
        "train.epochs 150 to 14",
        "train.batch 2 to 4",
        "train.accumulate 24 to 1",
        "train.optimizer.lr 0.001 to 0.004",
        "train.optimizer.step 100 to 11",
        "train.validate_every 1 to 2",
        "train.slices_per_epoch 0 to 40",
    )
    assert (run.folds, len(run.all_folds)) == ((0, 1), 5)
    assert plan.run("ssanet/s4").spec.train.stages == ["round0", "labels1", "round1", "labels2", "round2"]


def test_full_changes_nothing_and_has_no_caveats() -> None:
    plan = Plan.load(REAL)
    run = plan.run("ssanet/m4")
    assert run.scaled == ()
    assert plan.resolver.caveats(run) == []
    assert run.folds == (0, 1, 2, 3, 4)


def test_a_stand_in_brings_its_own_split_and_is_said() -> None:
    plan = Plan.load({**REAL, "stand_ins": {"covid-ct-seg": "zenodo20-slices"}, "folds": [0, 1]})
    run = plan.run("ssanet/m1")
    assert (run.spec.dataset, run.spec.split, run.folds) == ("zenodo20-slices", "ma5-zenodo20", (0, 1))
    assert plan.resolver.caveats(run)[:2] == ["zenodo20-slices stands in for covid-ct-seg", "2 of 5 folds (0, 1)"]


def test_a_run_is_made_once_for_all_tables() -> None:
    runs = Plan.load({}).targets.runs()
    assert len(runs) == len(set(runs))
    assert {"ssanet/m1", "ssanet/m4", "ssanet/e6"} <= set(runs)


def test_only_leaves_out_what_it_does_not_name() -> None:
    plan = Plan.load({"only": ["ssanet/m1"]})
    assert plan.targets.runs() == ["ssanet/m1"]
    assert [name for _, name, _ in plan.targets.tables()][:2] == ["1", "2"]
    assert plan.graph.all_datasets() == ["covid-ct-seg"]
    assert list(plan.targets.figures()) == []


def group(*runs: str, **keys: object) -> dict:
    return {"runs": {run: run for run in runs}, **keys}


def with_figure(plan: Plan, **figure: object) -> Plan:
    """Return the plan with one figure, named x, in place of SSA-Net's own."""
    paper = plan.papers["ssanet"].model_dump()
    plan.papers["ssanet"] = Paper.model_validate(paper | {"figures": {"x": {"caption": "c", **figure}}})
    return plan


def shown(plan: Plan) -> Reads:
    """Return what the figure x is made from."""
    return plan.papers["ssanet"].figures["x"].reads(plan.targets, "ssanet")


def test_each_group_of_a_figure_has_its_own_fold_made() -> None:
    groups = [group("m1", "m4", fold=3), group("m4-dataset2", fold=1)]
    plan = with_figure(Plan.load(REAL), groups=groups)
    assert shown(plan).predictions == (("ssanet/m1", 3, 0), ("ssanet/m4", 3, 0), ("ssanet/m4-dataset2", 0, 0))
    plan = with_figure(Plan.load({**REAL, "folds": [0, 2], "seeds": [7]}), groups=groups[:1])
    assert shown(plan).predictions == (("ssanet/m1", 0, 7), ("ssanet/m4", 0, 7))


def test_a_figure_of_examples_needs_data_and_no_run() -> None:
    example = {"kind": "examples", "groups": [{"dataset": "medseg-1", "classes": ["ggo", "consolidation"]}]}
    plan = with_figure(Plan.load({**REAL, "stand_ins": {"medseg-1": "covid-semiseg"}}), **example)
    assert [(paper, name) for paper, name, _ in plan.targets.figures()] == [("ssanet", "x")]
    assert shown(plan) == Reads(images=("covid-semiseg",))
    assert "covid-semiseg" in plan.graph.all_datasets()
    left_out: list[dict] = [{"only": ["ssanet/m1"]}, {"stand_ins": {"medseg-1": "zenodo20-slices"}}]
    for config in left_out:  # data that no chosen run uses; one class only
        assert list(with_figure(Plan.load({**REAL, **config}), **example).targets.figures()) == []


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"groups": [group("m1", "m4-dataset")]}, "figures.x: unknown name 'm4-dataset'; did you mean 'm4-dataset2'?"),
        ({"groups": [group("m1", "m4-dataset2")]}, "groups.0.runs: their data set, split or classes differ; "),
        (
            {"kind": "examples", "groups": [{"dataset": "medseg-1", "classes": ["gg"]}]},
            "groups.0.classes: unknown name 'gg'; did you mean 'ggo'?",
        ),
        ({"kind": "examples", "groups": [{"dataset": "medseg1", "classes": ["ggo"]}]}, "unknown data set 'medseg1'"),
    ],
)
def test_a_figures_names_are_checked(figure: dict, message: str) -> None:
    plan = with_figure(Plan.load(REAL), **figure)
    with pytest.raises(UserError) as e:
        plan.checks.all()
    assert message in str(e.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"preset": "tinny"}, "config.yaml: unknown preset 'tinny'; did you mean 'tiny'?"),
        ({"papers": ["ssnet"]}, "config.yaml: unknown paper 'ssnet'; did you mean 'ssanet'?"),
        ({"only": ["ssanet/m11"]}, "config.yaml: only: unknown run 'ssanet/m11'; did you mean 'm1'?"),
        ({"only": ["m4"]}, "config.yaml: only: unknown run 'm4'; name its paper too, as ssanet/m4"),
        (
            {"only": ["infnet/no1"], "papers": ["ssanet"]},
            "config.yaml: only: unknown run 'infnet/no1'; add infnet to papers:",
        ),
        ({"stand_ins": {"covid-ct-sg": "medseg-1"}}, "config.yaml: unknown data set 'covid-ct-sg'"),
        ({"lungs": {"medseg1": "none"}}, "config.yaml: unknown data set 'medseg1'; did you mean 'medseg-1'?"),
    ],
)
def test_unknown_names_are_refused(config: dict, message: str) -> None:
    with pytest.raises(UserError) as e:
        Plan.load(config)
    assert str(e.value).startswith(message)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("{net: {width: 1.0e+9}}", "runs.m4.net.width: must be above 0 and at most 64 (found 1e+09)"),
        ("{net: {width: -1}}", "runs.m4.net.width: must be above 0 and at most 64 (found -1)"),
        ("{train: {batch: 9000000}}", "runs.m4: would need"),
        ("{train: {batch: 1" + "0" * 400 + "}}", "runs.m4: train.batch: input should be less than or equal to"),
        ("{losses: [dice]}", "runs.m4: losses: expected keys and values, as {key: value} (found"),
        ("{split: ../ma5}", "runs.m4: split: unusable name '../ma5'"),
    ],
)
def test_absurd_settings_are_refused_before_anything_runs(
    own: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    file = Path("workflow/papers/ssanet.yaml")
    file.write_text(file.read_text().replace("  m4: {}", f"  m4: {own}"))
    with pytest.raises(UserError) as e:
        Plan.load(REAL)
    assert str(e.value).startswith(f"workflow/papers/ssanet.yaml: {message}")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config", "folds: all", "folds: [7]", "config.yaml: folds: split 'ma5' has folds 0, 1, 2, 3, 4 only"),
        ("config", "seeds: [0]", "seeds: [-1]", "config.yaml: seeds.0: input should be greater than or equal to 0"),
        ("config", "mode: demo", "mode: demmo", "config.yaml: mode: unknown value 'demmo'; did you mean 'demo'?"),
        ("config", "papers: [ssanet,", "papers: [ssanett,", "unknown paper 'ssanett'; did you mean 'ssanet'?"),
        (
            "paper",
            "m4: {}",
            "m4: {dataset: covid-ct-sge}",
            "runs.m4.dataset: unknown data set 'covid-ct-sge'; did you mean",
        ),
        (
            "paper",
            "m4: {}",
            "m4: {follow: {skp: released}}",
            "m4.follow: unknown deviation 'skp'; did you mean 'skip'?",
        ),
        (
            "paper",
            "better: m4, than: m2",
            "better: m4, than: m22",
            "claims.sc-helps-with-sa: unknown name 'm22'; did you mean 'm2'?",
        ),
        ("paper", "net: {name: ssanet,", "net: {name: ssanett,", "did you mean 'ssanet'?"),
        (
            "paper",
            "self-attention learning\n    metrics: &columns {DSC: dsc,",
            "self-attention learning\n    metrics: &columns {DSC: dcs,",
            "tables.3.metrics: unknown name 'dcs'; did you mean 'dsc'?",
        ),
        *(
            (
                "paper",
                "m4: {}",
                f"m4: {{}}\n  '{name}': {{}}",
                f"unusable name {name!r}; use letters, digits, dot, dash",
            )
            for name in ("$(touch pwned)", "../m3", "a b", "{x}", "")
        ),
    ],
)
def test_a_typo_in_a_file_is_named(
    file: str, old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("workflow", tmp_path / "workflow")
    shutil.copy("config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    edit(Path({"config": "config.yaml", "paper": "workflow/papers/ssanet.yaml"}[file]), old, new)
    with pytest.raises(UserError) as e:
        Plan.load()
    assert message in str(e.value)


def test_a_job_of_a_workflow_checks_again_what_has_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CHECKED, Plan.load(REAL).state())
    edit(Path("workflow/papers/ssanet.yaml"), "better: m4, than: m2", "better: m4, than: m22")
    with pytest.raises(UserError, match="unknown name 'm22'"):
        Plan.load(REAL)
    monkeypatch.setattr(Plan, "state", lambda self: "of now")
    monkeypatch.setenv(CHECKED, "of now")
    assert Plan.load(REAL).run("ssanet/m4").id == "ssanet/m4"
    for other in ({**REAL, "seeds": [1]}, {**REAL, "preset": "cpu"}):
        monkeypatch.undo()
        assert Plan.load(other).state() != Plan.load(REAL).state()


def test_a_split_of_cases_that_a_folder_lacks_is_refused_while_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    for name in ("imagesTr/scan01_0000.nii.gz", "imagesTs/scan02.nii.gz"):
        (tmp_path / "my scans" / name).parent.mkdir(parents=True)
        (tmp_path / "my scans" / name).touch()
    text = Path("workflow/datasets/covid-ct-seg.yaml").read_text().replace("importer: covid_ct_seg", "importer: folder")
    Path("workflow/datasets/mine.yaml").write_text(f"{text}\nfolder: my scans\n")
    Path("workflow/splits/mine.csv").write_text("fold,case,role\n0,scan01,train\n0,scan02,test\n")
    file = Path("workflow/papers/ssanet.yaml")
    file.write_text(file.read_text().replace("  m4: {}", "  m4: {}\n  mine: {dataset: mine, split: mine}"))
    config = {**REAL, "only": ["ssanet/mine"]}
    assert Plan.load(config).targets.runs() == ["ssanet/mine"]
    Path("workflow/splits/mine.csv").write_text("fold,case,role\n0,scan01,train\n0,scan20,test\n")
    with pytest.raises(UserError, match=r"mine\.csv: my scans has no case 'scan20'; did you mean 'scan02'\?"):
        Plan.load(config)


def test_merge_goes_mapping_by_mapping() -> None:
    base = {"net": {"name": "a", "width": 1}, "x": 1}
    assert merge(base, {"net": {"width": 2}, "x": {"y": 1}}) == {"net": {"name": "a", "width": 2}, "x": {"y": 1}}
    assert base == {"net": {"name": "a", "width": 1}, "x": 1}


def test_another_network_takes_none_of_the_defaults_options() -> None:
    base = {"net": {"name": "a", "width": 1}, "train": {"method": "m", "epochs": 2}}
    own = {"net": {"name": "b"}, "train": {"method": "n"}}
    assert merge(base, own) == {"net": {"name": "b"}, "train": {"method": "n", "epochs": 2}}
    assert merge(base, {"net": {"name": "a", "skip": "add"}})["net"] == {"name": "a", "width": 1, "skip": "add"}


def test_baselines_differ_from_ssanet_in_network_and_loss_alone() -> None:
    plan = Plan.load(REAL)
    for dataset in ("", "-dataset2"):
        own = plan.run(f"ssanet/m4{dataset}").spec
        for run, net in (("unet", {"name": "unet"}), ("nnunet", {"name": "dynunet", "levels": 8})):
            spec = plan.run(f"ssanet/{run}{dataset}").spec
            assert spec.net == net
            assert spec.losses == {"dice": {"smoothing": "corrected"}}
            assert spec.model_copy(update={"net": own.net, "losses": own.losses}) == own


def test_half_the_size_takes_one_level_less() -> None:
    levels = {preset: Plan.load({**REAL, "preset": preset}).run("ssanet/nnunet") for preset in ("cpu", "tiny")}
    assert {preset: run.spec.net["levels"] for preset, run in levels.items()} == {"cpu": 6, "tiny": 5}
    assert "net.levels 8 to 5" in levels["tiny"].scaled


def test_the_spec_hash_ignores_how_a_row_is_scored() -> None:
    plan = Plan.load(REAL)
    assert plan.run("ssanet/m4").hash != plan.run("ssanet/m3").hash
    assert plan.run("ssanet/m4").hash == Plan.load({**REAL, "folds": [0]}).run("ssanet/m4").hash


def test_class_values_join_unions() -> None:
    plan = Plan.load(REAL)
    assert plan.catalogue.class_values("covid-semiseg", ["infection"]) == {"infection": (1, 2)}
    assert plan.catalogue.class_values("covid-ct-seg", ["lung"]) == {"lung": ()}
    with pytest.raises(UserError, match="no class 'ggoo'; did you mean 'ggo'"):
        plan.catalogue.class_values("covid-semiseg", ["ggoo"])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a function that plans a paper file with scans of one's own, in a catalogue of its own."""
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)
    for k in range(7):
        for kind in ("imagesTr", "labelsTr"):
            (tmp_path / "scans" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "scans" / kind / f"{k}.nii.gz").touch()
    named = {"background": 0, "ground glass": 1, "consolidation": 4, "lung": 2, "ignore": 5}
    (tmp_path / "scans" / "dataset.json").write_text(json.dumps({"labels": named}))

    def plan(dataset: dict | None = None, **keys: object) -> Plan:
        paper = {"paper": {"title": "Ours"}, "dataset": {"folder": "scans", **(dataset or {})}, "runs": {"a": None}}
        paper["defaults"] = {"net": {"name": "unet"}, "losses": {"dice": {}}}
        (tmp_path / "workflow/papers/mine.yaml").write_text(json.dumps(paper | keys))
        return Plan.load({**REAL, "papers": ["mine"]})

    return plan


def test_a_folder_is_enough(own: Callable[..., Plan]) -> None:
    plan = own(masks=["a"])
    run, dataset = plan.run("mine/a"), plan.dataset("mine")
    assert (run.spec.dataset, run.spec.split, run.folds) == ("mine", "mine-folds-5", (0, 1, 2, 3, 4))
    assert run.spec.values == {"ground-glass": (1,), "lung": (2,), "consolidation": (4,)}
    assert (dataset.title, dataset.window, plan.catalogue.lungs("mine")) == ("Ours", (-1250, 250), "threshold")
    assert plan.targets.runs() == plan.targets.masks() == ["mine/a"]
    assert plan.catalogue.split_path("mine-folds-5") == Path("data/paper/splits/mine-folds-5.csv")
    assert plan.graph.leak_sets() == [("mine", "mine-folds-5")]
    assert plan.graph.shown_in("mine/a") == "masks"


def test_which_slices_are_kept_decides_a_made_split(own: Callable[..., Plan]) -> None:
    usual, other = own(masks=["a"]), own({"classes": ["ground-glass"]}, masks=["a"])
    assert usual.fingerprints.split("mine-folds-5") == own(masks=["a"]).fingerprints.split("mine-folds-5")
    assert usual.fingerprints.split("mine-folds-5") != other.fingerprints.split("mine-folds-5")


def test_what_a_folder_may_say(own: Callable[..., Plan]) -> None:
    one = own({"classes": ["consolidation"], "keep": "lesion"}, masks=["a"])
    assert one.run("mine/a").spec.values == {"consolidation": (4,)}
    joined = own({"unions": {"infection": ["ground-glass", "consolidation"]}}, masks=["a"])
    assert joined.run("mine/a").spec.values == {"infection": (1, 4)}
    Path("scans/labelsTs").mkdir()
    Path("scans/labelsTs/t.nii.gz").touch()
    Path("scans/imagesTs").mkdir(exist_ok=True)
    Path("scans/imagesTs/t_0000.nii.gz").touch()
    assert own(masks=["a"]).run("mine/a").spec.split == "mine-hold-out"


def test_one_labelled_scan_is_too_few(own: Callable[..., Plan]) -> None:
    for k in range(1, 7):
        Path(f"scans/labelsTr/{k}.nii.gz").unlink()
    with pytest.raises(UserError, match="scans/labelsTr: one mask; label a second scan"):
        own(masks=["a"])


def test_a_written_split_goes_before_a_made_one(own: Callable[..., Plan]) -> None:
    Path("workflow/splits/mine-folds-5.csv").write_text("fold,case,role\n3,0,train\n3,1,test\n")
    plan = own(masks=["a"])
    assert plan.catalogue.made_split("mine-folds-5") is None
    assert plan.run("mine/a").folds == (3,)


@pytest.mark.parametrize(
    ("dataset", "keys", "message"),
    [
        ({"fodler": "x"}, {}, "workflow/papers/mine.yaml: dataset.fodler: unknown key; did you mean 'folder'?"),
        ({"folder": "nowhere"}, {"masks": ["a"]}, "workflow/papers/mine.yaml: dataset.folder: nowhere: no such"),
        (
            {"folder": "~/nowhere"},
            {"masks": ["a"]},
            f"workflow/papers/mine.yaml: dataset.folder: {Path.home()}/nowhere: no",
        ),
        ({"classes": ["ggo"]}, {"masks": ["a"]}, "scans/dataset.json: no label named 'ggo'; its labels:"),
        ({}, {"masks": ["b"]}, "workflow/papers/mine.yaml: masks: unknown name 'b'; legal: a"),
    ],
)
def test_what_is_wrong_with_ones_own_is_named(
    own: Callable[..., Plan], dataset: dict, keys: dict, message: str
) -> None:
    with pytest.raises(UserError) as e:
        own(dataset, **keys)
    assert str(e.value).startswith(message)


def test_three_files_say_the_same(own: Callable[..., Plan]) -> None:
    head = {"title": "t", "about": "a", "licence": "l", "importer": "folder", "folder": "scans", "classes": {"lung": 2}}
    Path("workflow/datasets/ours.yaml").write_text(json.dumps(head))
    Path("workflow/splits/ours.csv").write_text("fold,case,role\n0,0,train\n0,1,test\n")
    defaults = {
        "dataset": "ours",
        "split": "ours",
        "classes": ["lung"],
        "net": {"name": "unet"},
        "losses": {"dice": {}},
    }
    paper = {"paper": {"title": "Ours"}, "runs": {"a": None, "b": {"split": "folds-2"}}, "defaults": defaults}
    Path("workflow/papers/three.yaml").write_text(json.dumps(paper))
    plan = Plan.load({**REAL, "papers": ["three"]})
    assert (plan.run("three/a").spec.dataset, plan.run("three/a").folds) == ("ours", (0,))
    assert (plan.run("three/b").spec.split, plan.run("three/b").folds) == ("ours-folds-2", (0, 1))


def test_one_name_is_one_data_set(own: Callable[..., Plan]) -> None:
    Path("workflow/datasets/mine.yaml").write_text("{}")
    with pytest.raises(UserError, match=r"papers/mine\.yaml describes a data set of this name too; rename one"):
        own(masks=["a"])
