"""The files of each phantom, in the layout of the real data set."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from covidseg.data.canonical import to_8bit
from covidseg.data.importers import covid_ct_seg, covid_semiseg, medseg_volumes
from covidseg.data.orientation import from_store
from covidseg.data.phantom.scans import Maker, Plan, Scan, Shares
from covidseg.schema import Phantom

LARGER = 630 / 512  # the radiopaedia volumes show more than the 512 pixels that are cropped from them
FIELD = 360.0  # mm across the cropped field of view
LUNGS = 280.0  # mm from the diaphragm to the apex
WINDOW = (-1250.0, 250.0)
FIXED_DATE = (2020, 4, 20, 0, 0, 0)

CORONACASES = [f"coronacases_{k:03d}" for k in range(1, 11)]
RADIOPAEDIA = [
    f"radiopaedia_{k}"
    for k in ("10_85902_1", "10_85902_3", "14_85914_0", "27_86410_0", "29_86490_1", "29_86491_1", "36_86526_0",
              "40_86625_0", "4_85506_1", "7_85703_0")
]  # fmt: skip
EMPTY_IDS = (22, 48)  # the two of medseg-1's 100 slices that show no lesion, and that COVID-SemiSeg leaves out
TEST_IDS = [*range(6, 10), 18, 21, 36, 38, *range(59, 67), *range(68, 100)]
UNLABELLED = 60
VALIDATION = 10  # slices of val_im.nii.gz


def covid_ct_seg_files(phantom: Phantom, raw: Path) -> None:
    """Write 20 volumes and their masks, zipped and unpacked: coronacases in raw HU, radiopaedia windowed and larger."""
    names = CORONACASES + RADIOPAEDIA
    plans = [
        plan
        for case, name in enumerate(names)
        for plan in volume_plans((phantom.seed, case), phantom.slices, _extent(name), empty=2 + case % 2)
    ]
    scans = iter(_maker(phantom, plans))
    for name in names:
        axcodes = "LAS" if name in CORONACASES else "LPS"
        volume = list(islice(scans, phantom.slices))
        image = np.stack([scan.hu for scan in volume])
        lungs = np.stack([scan.left * np.uint8(1) + scan.right * np.uint8(2) for scan in volume])
        mask = np.where(np.stack([(scan.label == 1) | (scan.label == 2) for scan in volume]), 3, lungs).astype(np.uint8)
        voxels = stored_hu(image) if name in CORONACASES else to_8bit(image, WINDOW, name, hu=True)
        for folder, array in ((covid_ct_seg.IMAGES, voxels), (covid_ct_seg.MASKS, mask)):
            nifti(raw / folder / f"{name}.nii.gz", array, axcodes, phantom)
    for folder in (covid_ct_seg.IMAGES, covid_ct_seg.MASKS):
        pack(raw / folder)


def medseg_slices_files(phantom: Phantom, raw: Path) -> None:
    """Write the stack of labelled slices, every one of another patient, its mask, and the unlabelled stack."""
    plans = [_single((phantom.seed, k), sick=k not in EMPTY_IDS) for k in range(phantom.slices + VALIDATION)]
    # the unlabelled ones are not counted in the shares
    scans = _maker(phantom, plans[: phantom.slices], effusion=0.15)
    _stack(raw / "tr_im.nii.gz", raw / "tr_mask.nii.gz", scans, phantom, hu=True)
    _stack(raw / "val_im.nii.gz", None, _maker(phantom, plans[phantom.slices :], effusion=0.15), phantom, hu=True)


def medseg_volumes_files(phantom: Phantom, raw: Path) -> None:
    """Write nine windowed volumes, larger than the field that is cropped from them, and their masks."""
    plans = [
        plan for k in range(9) for plan in volume_plans((phantom.seed, k), phantom.slices, LARGER, 1, phantom.healthy)
    ]
    scans = iter(_maker(phantom, plans, effusion=0.3))
    for k in range(1, 10):
        image, mask = raw / medseg_volumes.IMAGES / f"{k}.nii.gz", raw / medseg_volumes.MASKS / f"{k}.nii.gz"
        _stack(image, mask, islice(scans, phantom.slices + phantom.healthy), phantom, hu=False)
    for folder in (medseg_volumes.IMAGES, medseg_volumes.MASKS):
        pack(raw / folder)


def covid_semiseg_files(phantom: Phantom, raw: Path) -> None:
    """Write 98 labelled JPGs with palette masks and unlabelled JPGs, on their side, each cropped to its lungs."""
    ids = [k for k in range(100) if k not in EMPTY_IDS][: phantom.slices]
    plans = [_single((phantom.seed, k), sick=True) for k in ids]
    names = unlabelled_names()
    volumes = [name.rsplit("_", 1)[0] for name in names]
    plans += [
        _single((phantom.seed, 1000 + sorted(set(volumes)).index(volume)), True, position)
        for position, volume in enumerate(volumes)
    ]
    for k, scan in zip(ids, _maker(phantom, plans[: len(ids)], crop=lung_box), strict=True):
        images, masks = covid_semiseg.LABELLED["test" if k in TEST_IDS else "train"]
        box = lung_box(scan.left | scan.right)
        picture(raw / images / f"{k}.jpg", _windowed(scan)[box], str(k))
        picture(raw / masks / f"{k}.png", np.where(scan.label > 2, 0, scan.label)[box], str(k), palette=True)
    for name, scan in zip(names, _maker(phantom, plans[len(ids) :], crop=lung_box), strict=True):
        box = lung_box(scan.left | scan.right)
        picture(raw / covid_semiseg.UNLABELLED / f"{name}.jpg", _windowed(scan)[box], name)


LAYOUTS: dict[str, Callable[[Phantom, Path], None]] = {
    "covid_ct_seg": covid_ct_seg_files,
    "covid_semiseg": covid_semiseg_files,
    "medseg_slices": medseg_slices_files,
    "medseg_volumes": medseg_volumes_files,
}


def unlabelled_names() -> list[str]:
    """Return names as the real unlabelled images have them, three to a volume."""
    volumes = [name.replace("coronacases", "coronacases_org") for name in CORONACASES]
    volumes += [name.replace("radiopaedia_", "radiopaedia_org_covid-19-pneumonia-") + "-dcm" for name in RADIOPAEDIA]
    return [f"Data-1_{volume}_{k}" for volume in volumes for k in range(1, UNLABELLED // len(volumes) + 1)]


def lung_box(lungs: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of a slice that COVID-SemiSeg would keep: the lungs and a narrow margin."""
    box = []
    for axis in (1, 0):
        hit = np.flatnonzero(lungs.any(axis=axis))
        margin = 0.012 * lungs.shape[0]
        box.append(slice(max(0, int(hit[0] - margin)), min(lungs.shape[0], int(hit[-1] + 1 + margin))))
    return box[0], box[1]


def nifti(path: Path, array: npt.NDArray, axcodes: str, phantom: Phantom, slices: int | None = None) -> None:
    """Write an (S, H, W) array as a .nii.gz whose axes grow towards ``axcodes``; the same bytes every time."""
    import nibabel as nib

    pixel, step = FIELD / phantom.size, LUNGS / (slices or phantom.slices)
    signs = {"L": -1, "P": -1, "S": 1, "R": 1, "A": 1, "I": -1}
    sizes = {"L": (0, pixel), "R": (0, pixel), "A": (1, pixel), "P": (1, pixel), "S": (2, step), "I": (2, step)}
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, code in enumerate(axcodes):
        row, size = sizes[code]
        affine[row, axis] = signs[code] * size
    image = nib.nifti1.Nifti1Image(np.ascontiguousarray(from_store(array, axcodes)), affine)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def pack(folder: Path) -> None:
    """Zip a folder beside itself, as the data set is downloaded; the same bytes every time."""
    with zipfile.ZipFile(folder.with_name(folder.name + ".zip"), "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(path.name, FIXED_DATE), path.read_bytes())


def picture(path: Path, array: npt.NDArray, name: str, palette: bool = False) -> None:
    """Write an upright (H, W) image on its side, as COVID-SemiSeg has it: JPG, or PNG with its palette."""
    from PIL import Image

    lying = from_store(array[None], covid_semiseg.axcodes(name) + "S")[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(lying, dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    if palette:
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(path)
    else:
        image.save(path, quality=95)


def _maker(phantom: Phantom, plans: Sequence[Plan], effusion: float = 0.0, crop: Callable | None = None) -> Maker:
    shares = Shares(phantom.lung, phantom.ggo, phantom.consolidation)
    return Maker(plans, phantom.size, shares, effusion, crop=crop)


def volume_plans(patient: tuple[int, ...], slices: int, extent: float, empty: int, healthy: int = 0) -> list[Plan]:
    """Plan a volume from foot to head; ``empty`` slices at its ends show no lesion.

    So do ``healthy`` more, half of them in the middle third, half at the ends: or a slice's height would tell whether
    it shows one. They change nothing in the others.
    """
    middle = np.linspace(0.34, 0.66, healthy - healthy // 2)
    ends = np.concatenate([np.linspace(0.0, 0.12, healthy // 4), np.linspace(0.88, 1.0, healthy // 2 - healthy // 4)])
    more = [Plan(patient, slices + k, 0.06 + 0.86 * float(at), 0.0, extent) for k, at in enumerate([*middle, *ends])]
    return sorted([*_with_lesions(patient, slices, extent, empty), *more], key=lambda plan: plan.height)


def _with_lesions(patient: tuple[int, ...], slices: int, extent: float, empty: int) -> Iterator[Plan]:
    """Plan the slices of a volume, ``empty`` of them at its ends without lesion."""
    rng = np.random.default_rng([*patient, 20])
    severity = rng.lognormal(0, 0.6)
    first = int(rng.integers(0, empty + 1))
    for k in range(slices):
        sick = first <= k < slices - (empty - first)
        height = 0.06 + 0.86 * (k + float(rng.uniform(0.3, 0.7))) / slices
        weight = severity * rng.lognormal(0, 0.3) * (0.35 + np.sin(np.pi * (k + 0.5) / slices)) if sick else 0.0
        yield Plan(patient, k, height, float(weight), extent, _dense(rng))


def _single(patient: tuple[int, ...], sick: bool, position: int = 0) -> Plan:
    """Plan one slice of a patient."""
    rng = np.random.default_rng([*patient, position, 20])
    return Plan(patient, position, float(rng.uniform(0.1, 0.8)), float(rng.lognormal(0, 0.7)) * sick, 1.0, _dense(rng))


def _dense(rng: np.random.Generator) -> float:
    """Draw which share of a slice's lesion is consolidation; a fifth of the slices have none."""
    share = float(rng.beta(1.2, 2.5))
    return share if rng.random() > 0.2 else 0.0


def _extent(name: str) -> float:
    return LARGER if name in RADIOPAEDIA else 1.0


def stored_hu(image: npt.NDArray) -> npt.NDArray[np.int16]:
    """Return HU as a scanner stores them: whole, within 12 bits."""
    return np.rint(image).clip(-1024, 3071).astype(np.int16)


def _windowed(scan: Scan) -> npt.NDArray[np.uint8]:
    """Return a slice in a window of its own, as pictures from many clinics have."""
    rng = np.random.default_rng([*scan.plan.patient, 21])
    low, width = rng.uniform((-1250, 1350), (-1100, 1600))
    return to_8bit(scan.hu, (low, low + width), "phantom", hu=True)


def _stack(image: Path, mask: Path | None, scans: Iterable[Scan], phantom: Phantom, hu: bool) -> None:
    made = list(scans)
    voxels = np.stack([scan.hu for scan in made])
    nifti(image, stored_hu(voxels) if hu else to_8bit(voxels, WINDOW, image.name, hu=True), "LPS", phantom, len(made))
    if mask:
        nifti(mask, np.stack([scan.label for scan in made]), "LPS", phantom, len(made))
