"""From a folder that was looked at to a paper file that learns from it, and the configuration that asks for it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np

from covidseg.base.errors import UserError
from covidseg.base.files import write_text
from covidseg.base.images import VOLUMES
from covidseg.base.names import PLAIN
from covidseg.base.names import check as check_name
from covidseg.data import dicom
from covidseg.data.anatomy import is_lesion, is_lung
from covidseg.jobs import leases
from covidseg.own import image_labels
from covidseg.own.look import Say, Study, look, words
from covidseg.plan.names import WORKFLOW
from covidseg.schema import Config, load

STEPS = 1000  # optimizer steps of a training, unless the scans are so many that EPOCHS are more
EPOCHS = (20, 150)
BATCH = 4
AUGMENT = "{rotate: 10, scale: 0.15, shift: 0.05, intensity: 0.1}"
MIRRORED = AUGMENT.replace("}", ", mirror: true}")
SIDES = ("left", "right")  # in a label: then slices are not mirrored
NAMES = ("lung", "infection", "lesion", "ggo", "consolidation", "effusion", "nodule", "tumor")  # in file names
PAPER = """\
# Written by covidseg init from {folder}: {found}. Edit it as you like.
paper: {{title: {title}}}
dataset: {{folder: {data}, lungs: {lungs}}}
defaults:
  net: {{name: unet, width: 0.5}}
  input: {{size: {size}, mode: {mode}}}
  losses: {{cross_entropy: {{}}, dice: {{}}}}
  train:
    epochs: {epochs}
    batch: {batch}
    optimizer: {{step: {step}}} # the rate falls to a tenth after step epochs
    augment: {augment} # random changes of each slice, at most
runs: {{ours: {{}}}}
tables:
  "1":
    caption: Our scans
    protocol: scans
    metrics: {{Dice: dice, "HD95, {length}": hd95, missed: missed, invented: invented{volume}}}
    rows: [{{label: U-Net, run: ours}}]
  "2":
    caption: Our scans, slice by slice
    protocol: standard
    metrics: {{Dice: dice, Sen: sen, NSD: nsd}}
    rows: [{{label: U-Net, run: ours}}]
figures:
  "1": {{caption: Our scans, groups: [{{runs: {{U-Net: ours}}}}]}}
"""
POOL = """\
# To learn from the {count} scans without masks too, in rounds of pseudo labels:
#   train: {{method: self_training, pool: {{dataset: {name}}}, epochs: {epochs}, batch: {batch}}}
"""


def init(name: str, folder: Path, config: Path, say: Say, progress: Say) -> None:
    """Look at a folder, say what it holds, write ``workflow/papers/NAME.yaml`` and set the configuration to it.

    The user's folder stays as it is: scans that lie in no layout are linked into one below the data folder. Raises
    UserError, with nothing written, where the name is taken or the folder cannot be learned from.
    """
    paper = WORKFLOW / "papers" / f"{name}.yaml"
    if not re.fullmatch(PLAIN, name):
        raise UserError(f"{name!r}: unusable name; use letters, digits, dot, dash and underscore")
    for path in (paper, WORKFLOW / "datasets" / f"{name}.yaml"):
        if path.is_file():
            raise UserError(f"{path}: is there already; choose another name, or delete it")
    settings = load(Config, config)
    if (file := image_labels.labels_in(folder)) is not None:
        text, said = image_labels.paper(name, folder.resolve(), file)
        for line in said:
            say(line)
        _finish(paper, name, text, config, say)
        return
    study = look(folder.resolve(), progress)
    if study.labelled:
        study.names = study.names or _named(study)
    for line in words(study):
        say(line)
    _check(study)
    names = study.names
    data = study.folder
    if not study.ready:
        data = _linked(study, names, (settings.data / "own" / name).absolute())
        say(f"{data}: links to these scans in the layout of nnU-Net, and dataset.json, where labels can be renamed")
    _finish(paper, name, _paper(study, name, data, names), config, say)


def _finish(paper: Path, name: str, text: str, config: Path, say: Say) -> None:
    """Write the paper file, set the configuration to it, and say so."""
    write_text(paper, text)
    say(f"{paper}: written")
    changes = {"mode": "paper", "papers": f"[{name}]"} | ({} if leases.devices() else {"preset": "cpu"})
    said = _configure(config, changes)
    say(f"{config}: {said}")
    say("Next: snakemake -n lists what would be made, snakemake makes it.")


def _check(study: Study) -> None:
    """Raise UserError where nothing can be learned from a folder."""
    if study.seen.problems:
        raise UserError(f"{study.folder}: {len(study.seen.problems)} files are wrong, see above; nothing was written")
    if not study.labelled:
        raise UserError(
            f"{study.folder}: no scan has a mask, so nothing can be learned; covidseg predict applies a model that is "
            "there already"
        )
    if len(study.labelled) < 2:
        raise UserError(f"{study.folder}: one mask; label a second scan, to test on what was not trained on")
    if not study.seen.labels:
        raise UserError(f"{study.folder}: every mask is empty; draw what is to be found")
    if len(study.seen.kinds) > 1:
        kinds = " and ".join(sorted(study.seen.kinds))
        raise UserError(f"{study.folder}: scans in {kinds}; bring all to HU")


def _named(study: Study) -> dict[str, int]:
    """Return names for the labels of masks without a dataset.json: a word of the masks' names, or label1 and so on."""
    masks = [pair.mask.name.lower() for pair in study.labelled if pair.mask]
    values = sorted(study.seen.labels)
    word = next((word for word in NAMES if all(word in name for name in masks)), None)
    return {word: values[0]} if word and len(values) == 1 else {f"label{value}": value for value in values}


def _linked(study: Study, names: dict[str, int], root: Path) -> Path:
    """Link scans and masks into nnU-Net's layout below ``root``, and write dataset.json; return ``root``."""
    if root.exists():
        raise UserError(f"{root}: is there already, from an earlier covidseg init; delete it")
    for pair in study.pairs:
        check_name(pair.name, str(pair.image if isinstance(pair.image, Path) else pair.image.folder))
        if isinstance(pair.image, dicom.Series):
            raise UserError(
                f"{study.folder}: DICOM and masks in no layout; put the series below imagesTr, each in a folder of its "
                "own, and the masks as NIfTI files of these folders' names into labelsTr"
            )
        role = "Tr" if pair.mask else "Ts"
        _link(pair.image, root / f"images{role}" / f"{pair.name}{_suffix(pair.image)}")
        if pair.mask:
            _link(pair.mask, root / f"labels{role}" / f"{pair.name}{_suffix(pair.mask)}")
    write_text(root / "dataset.json", json.dumps({"labels": {"background": 0, **names}}, indent=1) + "\n")
    return root


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, link)


def _suffix(path: Path) -> str:
    return next((suffix for suffix in VOLUMES if path.name.lower().endswith(suffix)), path.suffix.lower())


def _paper(study: Study, name: str, data: Path, names: dict[str, int]) -> str:
    hu = "HU" in study.seen.kinds
    labelled, bare = len(study.labelled), len(study.pairs) - len(study.labelled)
    side = max(max(rows, columns) for _, rows, columns in study.seen.shapes)
    slices = sum(shape[0] for shape in study.seen.shapes) * _trained(labelled) / len(study.pairs)
    epochs = max(EPOCHS[0], min(EPOCHS[1], round(STEPS * BATCH / slices)))
    known = bool(np.isfinite(study.seen.spacings).all())
    # A mask of the lungs by threshold also helps to find lungs: one scan to learn from may show no gas in the stomach.
    masked = hu and any(is_lesion(name) or is_lung(name) for name in names)
    text = PAPER.format(
        folder=study.folder,
        found=f"{labelled} labelled scans, {bare} without a mask",
        title=json.dumps(f"U-Net on {name}"),
        data=json.dumps(str(data)),
        lungs="threshold" if masked else "none",
        size=min(512, -(-side // 32) * 32),
        mode="slice+lung" if masked else "slice",
        epochs=epochs,
        step=round(0.7 * epochs),
        augment=AUGMENT if any(side in name.lower() for name in names for side in SIDES) else MIRRORED,
        batch=BATCH,
        length="mm" if known else "px",
        volume=', "volume error, ml": volume_error' if known else "",
    )
    return text + (POOL.format(count=bare, name=name, epochs=epochs, batch=BATCH) if bare else "")


def _trained(labelled: int) -> int:
    """Return how many of the labelled scans one fold trains on: those that it neither tests nor validates on."""
    rest = labelled - labelled // min(5, labelled)
    return rest - (max(1, round(rest / 10)) if rest > 1 else 0)


def _configure(config: Path, changes: dict[str, str]) -> str:
    """Set keys of the configuration, its comments left as they are; return what was changed, in words."""
    text, said = config.read_text("utf-8"), []
    for key, value in changes.items():
        pattern = re.compile(rf"^{key}:[ \t]*([^#\n]*?)([ \t]*(?:#.*)?)$", re.M)
        found = pattern.search(text)
        before = found[1] if found else "absent"
        if before != value:
            if found:
                text = f"{text[: found.start()]}{key}: {value}{found[2]}{text[found.end() :]}"
            else:
                text = f"{text.rstrip()}\n{key}: {value}\n"
            said.append(f"{key} was {before}, is {value}")
    write_text(config, text)
    return "; ".join(said) or "nothing to change"
