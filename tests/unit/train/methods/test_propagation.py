"""Label propagation: who is labelled when, what a label is, and a chain of all jobs on discs in noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from covidseg import losses
from covidseg.base import files
from covidseg.base.errors import UserError
from covidseg.data import tensors
from covidseg.jobs import record
from covidseg.losses.edge_maps import inside
from covidseg.plan.resolve import scale
from covidseg.schema import Preset, RunSpec
from covidseg.train import fitting, hybrid, run, stage
from covidseg.train.hybrid import soft_labels
from covidseg.train.job import Job
from covidseg.train.loader import SliceLoader, Slices
from covidseg.train.loop import at_scale
from covidseg.train.methods import propagation
from covidseg.train.pseudo import Soft
from covidseg.train.stages import folder
from tests.unit.train import blobs

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "method": "propagation",
    "pool": {"dataset": "pool"},
    "k": 10,
    "step_epochs": 2,
    "step_batch": 8,
    "step_lr": 1e-3,
    "blocks": 2,
    "finetune_epochs": 6,
    "finetune_batch": 8,
    "finetune_lr": 3e-3,
    "epochs": 5,
    "batch": 8,
    "optimizer": {"lr": 3e-3, "clamp": 0.5},
}


# ---- who is labelled when


def test_each_slice_enters_once_in_an_order_of_the_seed() -> None:
    pool = np.arange(100, 112)
    orders = [propagation.order(pool, 5, None, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert sorted(orders[0]) == pool.tolist()
    assert orders[0] == orders[1] != orders[2]
    assert propagation.order(pool, 5, 2, np.random.default_rng(0)).tolist() == orders[0][:10]


def test_the_papers_steps_and_a_last_one_that_is_smaller() -> None:
    after = propagation.ends(1600, 5)
    assert (len(after), after[0], after[-1]) == (320, 5, 1600)
    assert [50 + n for n in after[:3]] == [55, 60, 65]  # 50 + 5 i slices are learned
    assert propagation.ends(12, 5) == [5, 10, 12]


@pytest.mark.parametrize(
    ("steps", "blocks", "expected"),
    [
        (320, 8, [(first, first + 40) for first in range(0, 320, 40)]),
        (5, 2, [(0, 3), (3, 5)]),
        (3, 4, [(0, 1), (1, 2), (2, 3), (3, 3)]),  # the last block has nothing to do
    ],
)
def test_blocks_share_the_steps(steps: int, blocks: int, expected: list[tuple[int, int]]) -> None:
    parts = [propagation.part(steps, blocks, block) for block in range(1, blocks + 1)]
    assert [(part.start, part.stop) for part in parts] == expected


def spec(**changes: Any) -> RunSpec:
    return RunSpec.model_validate(blobs.SPEC | {"train": SETTINGS | changes})


def test_blocks_have_ten_steps_or_more() -> None:
    assert spec(steps=None, blocks=3).train.stages == ["first", "block1", "block2", "block3", "pretrain"]
    assert spec(steps=20, blocks=8).train.stages == ["first", "block1", "block2", "pretrain"]
    assert spec(steps=4, blocks=8).train.stages == ["first", "block1", "pretrain"]


def test_a_preset_scales_every_phase_and_says_so() -> None:
    preset = Preset(about="small", epochs=0.5, batch=4, lr=3, steps=6)
    scaled, words = scale(spec(step_epochs=10, finetune_lr=1e-4), preset)
    found = scaled.train.model_dump()
    expected = {
        "steps": 6,
        "epochs": 2,
        "step_epochs": 5,
        "finetune_epochs": 3,
        "batch": 4,
        "step_batch": 4,
        "finetune_batch": 4,
        "step_lr": 3e-3,
        "finetune_lr": pytest.approx(3e-4),
    }
    assert {key: found[key] for key in expected} == expected
    assert {"train.steps all to 6", "train.finetune_lr 0.0001 to 0.0003"} <= set(words)  # not 0.00030000000000000003


# ---- what a label is


def test_a_soft_label_is_stretched_over_eight_bits() -> None:
    p = torch.tensor([[[[0.125, 0.25], [0.375, 0.625]]], [[[0.5, 0.5], [0.5, 0.5]]]])
    assert soft_labels(p).flatten(1).tolist() == [[0, 64, 128, 255], [0, 0, 0, 0]]  # 63.75, 127.5


def test_hard_and_soft_labels_in_one_batch() -> None:
    image = np.zeros((2, 2, 2), np.uint8)
    label = np.array([[[0, 3], [3, 0]], [[0, 0], [0, 0]]], np.uint8)
    loaded = tensors.Tensors(image, np.ones_like(image), label, {"slice": ["a", "b"]})
    soft = Soft(loaded, np.array([1]), np.array([[[0, 51], [204, 255]]], np.uint8))
    loader = SliceLoader([Slices(loaded, {"lesion": (3,)}), soft], "slice", CPU)
    ((_, target),) = loader.batches([np.array([2, 0])])
    assert target.flatten(1).tolist() == [pytest.approx([0, 0.2, 0.8, 1]), [0, 1, 1, 0]]
    ((_, alone),) = SliceLoader([Slices(loaded, {"lesion": (3,)})], "slice", CPU).batches([np.array([0])])
    assert (alone.dtype, alone.flatten().tolist()) == (torch.uint8, [0, 1, 1, 0])
    assert at_scale(torch.zeros(1, 1, 32, 32), torch.full((1, 32, 32), 0.3), 2.0)[1].unique().tolist() == [
        pytest.approx(0.3)
    ]


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "structure", "edge"])
def test_a_soft_target_of_zeros_and_ones_is_that_mask(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    outputs = {"logits": torch.randn(2, 1, 40, 40, generator=random), "edge": torch.randn(2, 1, 40, 40)}
    mask = (torch.rand(2, 40, 40, generator=random) > 0.6).to(torch.uint8)
    hard, soft = (losses.total({name: {}}, outputs, target, 0)[0] for target in (mask, mask.float()))
    assert float(hard) == pytest.approx(float(soft), rel=1e-6)


def test_soft_targets_by_hand() -> None:
    outputs = {"logits": torch.zeros(1, 1, 1, 2)}  # p 0.5
    target = torch.tensor([[[0.25, 1.0]]])
    cross = losses.total({"cross_entropy": {"class_weights": [1.0, 3.0]}}, outputs, target, 0)[0]
    assert float(cross) == pytest.approx(np.log(2) * (0.25 * 3 + 0.75 + 3) / 2)
    assert float(losses.total({"dice": {}}, outputs, target, 0)[0]) == pytest.approx(1 - (2 * 0.625 + 1) / 3.25)
    assert inside(torch.tensor([127, 128, 129, 255]) / 255).tolist() == [False, False, True, True]


# ---- the chain


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("blobs") / "data")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blobs.make(tmp_path_factory.mktemp("pool") / "data")


def propagated(data: Path, unlabelled: Path, out: Path, **changes: Any) -> Job:
    net = {"net": {"name": "unet", "width": 0.125}, "losses": {"structure": {}}, "lungs": "labels"}
    return replace(blobs.job(data, out, train=SETTINGS | changes, **net), pool=unlabelled, pool_values=(1,))


def do(job: Job, name: str, progress: Any = blobs.quiet) -> dict[str, Any]:
    facts = stage(job, name, progress)
    record.write(folder(job.out, name) / "stage.json", spec_hash="", **facts)
    return facts


class Notes:
    """A progress that keeps what is noted, and how far it was when."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.told: list[tuple[float, float, str]] = []

    def __call__(self, done: float, total: float, text: str) -> None:
        """Keep it."""
        self.told.append((done, total, text))

    def note(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


@pytest.fixture(scope="module")
def chain(data: Path, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, Any], list[str]]:
    job = propagated(data, pool, tmp_path_factory.mktemp("chain"))
    notes = Notes()
    for name in job.spec.train.stages:
        do(job, name, notes)
    return job, run(job, blobs.quiet), notes.said


def test_the_whole_chain(chain: tuple[Job, dict[str, Any], list[str]], data: Path) -> None:
    job, facts, said = chain
    blocks = [json.loads((folder(job.out, f"block{b}") / "stage.json").read_text()) for b in (1, 2)]
    steps = [line for block in blocks for line in block["steps"]]
    assert [len(block["steps"]) for block in blocks] == [2, 2]
    assert [line["step"] for line in steps] == [1, 2, 3, 4]
    assert [len(line["slices"]) for line in steps] == [10, 10, 10, 6]  # 36 slices
    assert [line["hybrid"] for line in steps] == [34, 44, 54, 60]  # 24 labelled ones
    assert len({name for line in steps for name in line["slices"]}) == 36  # each once
    assert said[2].startswith(f"step 3 of 4: labelled {steps[2]['slices'][0]}, ")
    assert said[2].endswith("; learns 54 slices")
    assert all(0.05 < line["lesion"] < 0.1 and line["losses"]["structure"] > 0 for line in steps)
    stored = [h5py.File(folder(job.out, f"block{b}") / "labels.h5") for b in (1, 2)]
    assert [len(file["index"]) for file in stored] == [
        20,
        16,
    ]  # the second holds no label of the first: none is changed
    label = stored[0]["label"][()]
    assert [line["lesion"] for line in steps[:2]] == [
        round(float((part > 128).mean()), 6) for part in (label[:10], label[10:])
    ]
    assert [block["val_dsc"] for block in blocks] == [None, None]
    assert label.reshape(20, -1).min(1).tolist() == [0] * 20
    assert label.reshape(20, -1).max(1).tolist() == [255] * 20
    assert len(np.unique(label)) > 100
    assert json.loads((folder(job.out, "pretrain") / "stage.json").read_text())["pseudo"] == 36
    assert (facts["pseudo"], facts["pool"], facts["steps"], facts["epochs"]) == (36, 36, 4, 6)
    first = json.loads((folder(job.out, "first") / "stage.json").read_text())
    assert (first["epochs"], first["labelled"]) == (6, 24)  # as the last training, not as that of the pseudo labels
    assert facts["notes"][-1] == "4 steps of label propagation: 36 of 36 unlabelled slices"
    with h5py.File(job.out / "predictions.h5") as file:
        found = file["prob"][:, 0] >= 128
    truth = np.load(data / "label.npy")[30:] == 1
    dsc = 2 * (truth & found).sum((1, 2)) / (truth.sum((1, 2)) + found.sum((1, 2)))
    assert dsc.mean() > 0.9  # what is found on the pool helps: the first model has 0.64


def test_stopped_anywhere_in_a_block_it_ends_in_the_same_bytes(
    chain: tuple[Job, dict[str, Any], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _, said = chain
    blobs.states_at_once(monkeypatch)
    again = replace(job, out=tmp_path)
    for name in ("first", "block1"):
        folder(tmp_path, name).parent.mkdir(exist_ok=True)
        folder(tmp_path, name).symlink_to(folder(job.out, name))

    class Stopping(Notes):
        left = 0

        def __call__(self, done: float, total: float, text: str) -> None:
            """Stop when the time has come."""
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    # Of step 3 there are 2 epochs of 7 batches and the end, then step 4 with 2 of 8.
    for calls in (3, 13, 6):
        progress = Stopping()
        progress.left = calls
        with pytest.raises(KeyboardInterrupt):
            stage(again, "block2", progress)
    last = Notes()
    assert do(again, "block2", last)["resumed"]
    assert last.said == said[2:]
    for name in ("model.safetensors", "labels.h5"):
        assert (folder(tmp_path, "block2") / name).read_bytes() == (folder(job.out, "block2") / name).read_bytes()
    assert not (folder(tmp_path, "block2") / "resume.pt").exists()


def test_a_block_without_steps_passes_and_labelled_slices_may_stay(
    chain: tuple[Job, dict[str, Any], list[str]], data: Path, pool: Path, tmp_path: Path
) -> None:
    job = propagated(data, pool, tmp_path, k=40, with_labelled=True, epochs=1, step_epochs=1, finetune_epochs=1)
    folder(tmp_path, "first").parent.mkdir()
    folder(tmp_path, "first").symlink_to(folder(chain[0].out, "first"))
    assert len(do(job, "block1")["steps"][0]["slices"]) == 36
    assert do(job, "block2")["passed"]
    assert do(job, "pretrain")["labelled"] == 24
    assert run(job, blobs.quiet)["steps"] == 1


@pytest.mark.parametrize("with_labelled", [False, True])
def test_what_the_new_model_is_pretrained_on(
    with_labelled: bool,
    chain: tuple[Job, dict[str, Any], list[str]],
    data: Path,
    pool: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pool's 36 slices with the labels of both blocks, after the 36 slices of the data set; their own truth not."""
    for name in ("first", "block1", "block2"):
        folder(tmp_path, name).parent.mkdir(exist_ok=True)
        folder(tmp_path, name).symlink_to(folder(chain[0].out, name))
    seen: list[Any] = []

    def learn(job: Job, loader: Any, learned: Any, val: Any, *rest: Any) -> None:
        seen.extend([loader.sources[1], learned.tolist(), val.tolist()])
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "learn", learn)
    with pytest.raises(KeyboardInterrupt):
        stage(propagated(data, pool, tmp_path, with_labelled=with_labelled), "pretrain", blobs.quiet)
    soft, learned, val = seen
    assert learned == [*(range(24) if with_labelled else ()), *range(36, 72)]
    assert val == list(range(24, 30))
    stored = [h5py.File(folder(tmp_path, name) / "labels.h5") for name in ("block1", "block2")]
    assert soft.index.tolist() == [row for file in stored for row in file["index"][()].tolist()]
    assert np.array_equal(soft.labels, np.concatenate([file["label"][()] for file in stored]))
    assert len({soft.labels[k].tobytes() for k in range(36)}) == 36


def test_progress_runs_through_all_steps_of_a_block(
    chain: tuple[Job, dict[str, Any], list[str]], data: Path, pool: Path, tmp_path: Path
) -> None:
    """Steps 3 and 4 of three epochs each: six epochs in all."""
    again, progress = propagated(data, pool, tmp_path, step_epochs=3), Notes()
    for name in ("first", "block1"):
        folder(tmp_path, name).parent.mkdir(exist_ok=True)
        folder(tmp_path, name).symlink_to(folder(chain[0].out, name))
    do(again, "block2", progress)
    done = [each[0] for each in progress.told]
    assert {total for _, total, _ in progress.told} == {6}
    assert done == sorted(done)
    assert {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0} <= set(done)
    assert all(text.startswith("step 3" if at < 3 else "step ") for at, _, text in progress.told)
    assert progress.told[-1][2].startswith("step 4")


def test_each_step_labels_with_the_model_as_it_predicts(
    chain: tuple[Job, dict[str, Any], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch normalization by the statistics of its training, also after a step has trained the model on."""
    modes, forward = list[bool](), hybrid.forward
    monkeypatch.setattr(hybrid, "forward", lambda model, x: (modes.append(model.training), forward(model, x))[1])
    for name in ("first", "block1"):
        folder(tmp_path, name).parent.mkdir(exist_ok=True)
        folder(tmp_path, name).symlink_to(folder(chain[0].out, name))
    do(replace(chain[0], out=tmp_path), "block2")
    assert modes == [False, False]


def test_a_finished_stage_leaves_no_resume_state(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs.states_at_once(monkeypatch)
    there = list[bool]()
    job = propagated(data, data, tmp_path, finetune_epochs=2)
    stage(job, "first", lambda *_: there.append((folder(tmp_path, "first") / "resume.pt").exists()))
    assert any(there)
    assert not (folder(tmp_path, "first") / "resume.pt").exists()


def test_the_first_model_is_taken_over(data: Path, tmp_path: Path) -> None:
    """Another run's training, whose slices, epochs and score become those of the first job; nothing is trained."""
    start = blobs.job(data, tmp_path / "plain")
    for name in ("model.safetensors", "history.csv"):
        files.write_text(start.out / name, name)
    facts = {"epochs": 7, "val_dsc": 0.5, "notes": ["n"], "class_pixels": [1, 2], "class_weights": [0.5, 2.0]}
    record.write(
        start.out / "run.json", run="p/plain", spec_hash="h", slices={"train": 24, "test": 6}, seconds=3, **facts
    )
    job = replace(propagated(data, data, tmp_path / "out"), references={"start": start})
    taken = {"passed": False, "labelled": 24, "pseudo": 0, "seconds": 0.0, "taken_from": "p/plain"} | facts
    assert taken.items() <= stage(job, "first", blobs.quiet).items()
    assert (folder(job.out, "first") / "model.safetensors").read_text() == "model.safetensors"


def test_labels_of_another_order_are_refused(chain: tuple[Job, dict[str, Any], list[str]], tmp_path: Path) -> None:
    job = replace(chain[0], out=tmp_path, seed=7)
    folder(tmp_path, "first").parent.mkdir()
    for name in ("first", "block1"):
        folder(tmp_path, name).symlink_to(folder(chain[0].out, name))
    with pytest.raises(UserError, match=r"block1/labels\.h5: damaged .of other slices.; run covidseg repair"):
        stage(job, "block2", blobs.quiet)
