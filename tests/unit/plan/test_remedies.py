"""Refused settings, and that doing what the message says is accepted. Each row: what is wrong, the remedy as it is
printed, and the settings after the remedy. None removes a key.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covidseg.base.errors import UserError
from covidseg.plan import Plan

Keys = dict[str, Any]
PAPER: Keys = {
    "paper": {"title": "Ours"},
    "defaults": {
        "dataset": "covid-semiseg",
        "split": "infnet-45-5-48",
        "classes": ["infection"],
        "input": {"size": 352, "mode": "slice"},
        "net": {"name": "unet"},
        "losses": {"dice": {}},
    },
    "runs": {"a": {}, "b": {"net": {"width": 0.5}}},
    "tables": {
        "1": {
            "caption": "Ours",
            "protocol": "standard",
            "metrics": {"Dice": "dice"},
            "rows": [{"label": "A", "run": "a"}, {"label": "B", "run": "b"}],
        }
    },
}
CONFIG: Keys = {"mode": "paper", "preset": "full", "papers": ["mine"]}
CLAIM: Keys = {"id": "one", "says": "s", "where": "w", "better": "a", "than": "b", "protocol": "standard"}
MULTI: Keys = {"classes": ["ggo", "consolidation"], "losses": {"dice": None, "cross_entropy": {}}}
POOL: Keys = {"method": "self_training", "pool": {"dataset": "covid-semiseg"}}
ROWS = PAPER["tables"]["1"]["rows"]


def run(**keys: Any) -> Keys:
    """Return a paper's keys that change run a."""
    return {"runs": {"a": keys}}


REMEDIES: dict[str, tuple[Keys, str, Keys]] = {
    "run without its paper": ({"only": ["a"]}, "name its paper too, as ssanet/m4", {"only": ["mine/a"]}),
    "run of another paper": (
        {"only": ["ssanet/m4"]}, "add ssanet to papers:", {"papers": ["mine", "ssanet"]},
    ),
    "fold that is not": ({"folds": [1]}, "no split that is used has a fold 1; name folds of 0", {"folds": [0]}),
    "circle of stand-ins": (
        {"stand_ins": {"dataset3": "covid-semiseg", "covid-semiseg": "dataset3"}},
        "a circle, dataset3 to covid-semiseg to dataset3; remove one of them",
        {"stand_ins": {"covid-semiseg": None}},
    ),
    "weights for one channel": (
        run(net={"name": "infnet"}, input={"mode": "slice+lung"}),
        "set input.mode: slice or masked, or init: random",
        run(input={"mode": "masked"}),
    ),
    "weights for one channel, the other way": (
        run(net={"name": "infnet"}, input={"mode": "slice+lung"}),
        "set input.mode: slice or masked, or init: random",
        {"init": "random"},
    ),
    "memory": (
        run(input={"size": 8192}, train={"batch": 100000}), "lower net.width, input.size or train.batch",
        run(train={"batch": 1}),
    ),
    "classes for a method of one": (
        run(**MULTI, train={"method": "cam", "epochs": 4}, net={"name": "classifier"}),
        "join them",
        run(classes=["infection"]),
    ),
    "restart after the end": (
        run(train={"epochs": 10, "optimizer": {"restart": {"epoch": 10, "lr": 0.001}}}),
        "must be below train.epochs, 10",
        run(train={"optimizer": {"restart": {"epoch": 5}}}),
    ),
    "circle of references": (
        {"runs": {"a": {"input": {"prior": {"run": "b"}}}, "b": {"input": {"prior": {"run": "a"}}}}},
        "in a circle, mine/a to mine/b to mine/a; remove one reference",
        {"runs": {"b": {"input": None}}},
    ),
    "prior of several classes": (
        {"runs": {"a": {"input": {"prior": {"run": "b"}}}, "b": MULTI}},
        "name a run of one class",
        {"runs": {"b": {"classes": ["infection"]}}},
    ),
    "prior of another split": (
        {"runs": {"a": {"input": {"prior": {"run": "b"}}}, "b": {"split": "infnet-50-48"}}},
        "has another data set or split; make them equal",
        {"runs": {"b": {"split": "infnet-45-5-48"}}},
    ),
    "start that trains otherwise": (
        {"runs": {"a": {"train": {**POOL, "start": "b"}}}},
        "differs in net; make it equal or leave it out",
        {"runs": {"b": {"net": None}}},
    ),
    "start that trains otherwise, the other way": (
        {"runs": {"a": {"train": {**POOL, "start": "b"}}}},
        "differs in net; make it equal or leave it out",
        run(train={"start": None}),
    ),
    "loss of another network": (
        run(losses={"self_attention": {}}),
        "which network unet does not have (legal: ssanet); switch the loss off",
        run(losses={"self_attention": False}),
    ),
    "loss of another network, the other way": (
        run(losses={"self_attention": {}}), "(legal: ssanet)", run(net={"name": "ssanet"}),
    ),
    "loss of a part that is switched off": (
        run(net={"name": "vqresnet", "vq": False}, losses={"vq": {}}),
        "which network vqresnet has with net.vq: true only; set it or switch the loss off",
        run(net={"vq": True}),
    ),
    "two claims of one id": (
        {"claims": [{**CLAIM, "metric": "dice"}, {**CLAIM, "metric": "nsd"}]},
        "two claims have this id; rename one",
        {"claims": [{**CLAIM, "metric": "dice"}, {**CLAIM, "id": "two", "metric": "nsd"}]},
    ),
    "printed difference of several metrics": (
        {"claims": [{**CLAIM, "metrics": {"dice": None}, "by": 0.1}]},
        "write metrics: {metric: difference}",
        {"claims": [{**CLAIM, "metrics": {"dice": 0.1}}]},
    ),
    "spread beyond": (
        {"claims": [{**CLAIM, "metric": "dice", "about": "spread", "beyond": ["a", "b"]}]},
        "remove maps and beyond",
        {"claims": [{**CLAIM, "metric": "dice", "about": "spread"}]},
    ),
    "two rows of one name": (
        {"tables": {"1": {"rows": [ROWS[0], {**ROWS[1], "label": "A"}]}}},
        "two rows are 'A'; rename one, or give it a class",
        {"tables": {"1": {"rows": ROWS}}},
    ),
    "a fact of a metric's name": (
        {"tables": {"1": {"facts": {"Dice": "parameters"}}}},
        "is a metric's column too; rename one",
        {"tables": {"1": {"facts": {"Dice": None, "Params": "parameters"}}}},
    ),
    "name that is none": (
        {"runs": {"a b": {}}}, "use letters, digits, dot, dash and underscore", {"runs": {"a b": None, "a-b": {}}},
    ),
}  # fmt: skip


def merged(base: Keys, own: Keys) -> Keys:
    """Return ``base`` with the keys of ``own``; None removes one."""
    out = copy.deepcopy(base)
    for key, value in own.items():
        if value is None and key in out:
            del out[key]
        else:
            out[key] = merged(out.get(key) or {}, value) if isinstance(value, dict) else value
    return out


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Return a function that plans a paper of one's own under changed settings, with all that they ask for."""
    shutil.copytree("workflow", tmp_path / "workflow")
    monkeypatch.chdir(tmp_path)

    def planned(*changes: Keys) -> Plan:
        config, paper = CONFIG, PAPER
        for keys in changes:
            paper = merged(paper, {key: value for key, value in keys.items() if key in (*PAPER, "claims")})
            config = merged(config, {key: value for key, value in keys.items() if key not in (*PAPER, "claims")})
        (tmp_path / "workflow/papers/mine.yaml").write_text(json.dumps(paper))
        found = Plan.load(config)
        for each in found.graph.all_runs():
            found.run(each)
        return found

    return planned


def test_the_settings_that_are_changed_are_accepted(plan: Callable[..., Plan]) -> None:
    assert {"mine/a", "mine/b"} <= set(plan().graph.all_runs())


@pytest.mark.parametrize(("wrong", "remedy", "right"), REMEDIES.values(), ids=REMEDIES)
def test_a_printed_remedy_repairs(wrong: Keys, remedy: str, right: Keys, plan: Callable[..., Plan]) -> None:
    with pytest.raises(UserError) as e:
        plan(wrong)
    assert remedy in str(e.value)
    assert "\n" not in str(e.value)
    plan(wrong, right)
