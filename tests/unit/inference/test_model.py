"""The exported file: it comes back as it was written, and everything else is refused in one line."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from covidseg import nets
from covidseg.base.errors import UserError
from covidseg.inference.model import KEY, TRAINING, Model, Network, Settings, load, save, sealed

NET = {"name": "unet", "width": 0.0625}


def small(members=1, **changes):
    """Return a model of tiny U-Nets with random weights, as small as a test can use."""
    torch.manual_seed(0)
    network = Network(net=NET, input={"size": 32, "mode": "slice"}, classes=["infection"])
    weights = {}
    for k in range(members):
        state = nets.build(NET, 1, 1).state_dict()
        weights |= {f"member{k}.{name}": tensor for name, tensor in state.items()}
    given = {
        "run": "mine/ours", "network": network, "members": members, "labels": {"infection": 3},
        "window": (-1250, 250), "lungs": "threshold", "phantoms": True,
    }  # fmt: skip
    return Model.of(Settings(**{**given, **changes}), weights)


def test_what_was_written_comes_back(tmp_path):
    model = small(2, data={"licence": "CC BY 4.0"}, scores={"dice": 0.5})
    save(model, tmp_path / "a.safetensors")
    save(small(2, data={"licence": "CC BY 4.0"}, scores={"dice": 0.5}), tmp_path / "b.safetensors")
    found = load(tmp_path / "a.safetensors")
    assert found.settings == model.settings
    assert found.sha256 == model.sha256
    assert found.weights.keys() == model.weights.keys()
    assert all(torch.equal(found.weights[name], model.weights[name]) for name in model.weights)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    members = found.members("cpu", 1)
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        first, second = (member.model(x)["logits"] for member in members)
    assert not torch.equal(first, second)
    assert found.about == f"covidseg mine/ours {model.sha256[:12]}; TRAINED ON PHANTOMS ONLY, not for patients"


def test_settings_and_weights_both_count_for_the_hash():
    hashes = {small().sha256, small(2).sha256, small(labels={"infection": 2}).sha256}
    assert len(hashes) == 3


def test_every_damaged_byte_is_noticed(tmp_path):
    """A bit in the header, in the settings, in the middle and at the end of the weights; and a file cut short."""
    path = tmp_path / "model.safetensors"
    save(small(), path)
    whole = path.read_bytes()
    settings = whole.index(b"mine/ours")
    for place in (0, 9, settings, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 1
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"model\.safetensors: (damaged|safetensors of another)"):
            load(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="damaged"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="damaged"):
        load(path)


def resigned(model, change):
    """Return the settings of a model as text after a change, with the hash that a forger would give them."""
    value = json.loads(model.settings.model_dump_json())
    change(value)
    text = json.dumps(value, sort_keys=True)
    from covidseg.inference.model import _digest

    return {KEY: sealed(text, _digest(text, model.weights))}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(format=2), "format 2, and this version reads 1; update covidseg"),
        (lambda s: s.update(hook="os.system"), "hook: unknown key"),
        (lambda s: s["network"]["net"].update(name="../../os"), "unknown network"),
        (lambda s: s["network"]["net"].update(name="spatial"), "unknown network"),
        (lambda s: s["network"]["net"].update(evil=1), "unknown key"),
        (lambda s: s["network"]["net"].update(width=64.0), "do not fit the network"),
        (lambda s: s["network"]["net"].update(width=1e9), "width"),
        (lambda s: s["network"].update(classes=[]), "classes"),
        (lambda s: s.update(members=2), "do not fit the network"),
        (lambda s: s.update(run="../../etc"), "run: unusable name"),
        (lambda s: s.update(lungs="curl"), "lungs: unknown value"),
    ],
)
def test_forged_settings_are_refused(change, said, tmp_path):
    path, model = tmp_path / "model.safetensors", small()
    save_file(dict(model.weights), path, resigned(model, change))
    with pytest.raises(UserError, match=said) as e:
        load(path).members("cpu", 1)
    assert len(str(e.value).splitlines()) == 1


def test_foreign_files_are_refused_and_run_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "pickle").write_bytes(pickle.dumps(Evil()))
    torch.save(small().weights, tmp_path / "torch")
    (tmp_path / "text").write_text("a model")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    save_file({"a": torch.zeros(1)}, tmp_path / "training", {TRAINING: "{}"})
    said = {
        "pickle": "damaged, or no exported model", "torch": "damaged, or no exported model",
        "text": "damaged, or no exported model", "other": "safetensors of another program",
        "training": "the weights of one training", "absent": "no such file",
    }  # fmt: skip
    for name, words in said.items():
        with pytest.raises(UserError, match=words):
            load(tmp_path / name)
    assert not (tmp_path / "ran").exists()
