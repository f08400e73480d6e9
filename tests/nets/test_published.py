"""Published weights: into an encoder of the same keys, hash-checked, and refused in one line where they do not fit."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from covidseg.base.errors import UserError
from covidseg.nets import published
from covidseg.nets.resnet import ResNet


def test_which_nets_start_from_published_weights() -> None:
    assert published.encoder_of({"name": "infnet"}) == "res2net50"
    assert published.encoder_of({"name": "infnet", "encoder": "vgg16", "init": "imagenet"}) == "vgg16"
    assert published.encoder_of({"name": "infnet", "init": "random"}) is None
    assert published.encoder_of({"name": "unet"}) is None
    assert published.encoder_of({}) is None


def test_an_encoder_takes_them_without_the_classifier(tmp_path: Path) -> None:
    """Old files lack the counters of batches; they stay 0."""
    torch.manual_seed(0)
    made, net = ResNet(3, 0.125), ResNet(3, 0.125)
    state = {key: value for key, value in made.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.zeros(1000, 256), "fc.bias": torch.zeros(1000)}, tmp_path / "w.pth")
    assert not torch.equal(net.conv1.weight, made.conv1.weight)  # type: ignore[arg-type]
    published.load(net, tmp_path / "w.pth")
    assert all(torch.equal(net.state_dict()[key], value) for key, value in made.state_dict().items())


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    torch.save(ResNet(3, 0.25).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: does not fit the encoder .*; name another net\.encoder, or") as e:
        published.load(ResNet(3, 0.125), tmp_path / "w.pth")
    assert "\n" not in str(e.value)


def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / "w.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UserError, match="not the encoder's weights"):
        published.load(ResNet(3, 0.125), tmp_path / "w.pth")
    assert not (tmp_path / "harm").exists()


def test_the_mirror_is_asked_before_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"net-{hashlib.sha256(b'weights').hexdigest()[:8]}.pth"
    monkeypatch.setitem(published.WEIGHTS, "res2net50", f"http://127.0.0.1:9/{name}")  # nothing answers there
    (tmp_path / "mirror/weights").mkdir(parents=True)
    with pytest.raises(UserError, match=r"cannot be downloaded .* mirror's folder weights, or set init: random in"):
        published.fetch("res2net50", tmp_path / "own", tmp_path / "mirror", {})
    path = tmp_path / "mirror/weights" / name
    path.write_bytes(b"weights")
    assert published.fetch("res2net50", tmp_path / "own", tmp_path / "mirror", {}) == path
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"sha256 starts with .*; delete it and fetch again"):
        published.fetch("res2net50", tmp_path / "own", tmp_path / "mirror", {})
