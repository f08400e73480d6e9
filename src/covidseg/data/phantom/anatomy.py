"""The healthy phantom chest: where the organs of a patient lie at one height, and what CT makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from covidseg.data.phantom.shapes import F32, Grid, field, mix, vessels

AIR, LUNG, FAT, MUSCLE, BLOOD, LIVER, MARROW, BONE, FLUID = -1000, -860, -95, 50, 45, 62, 180, 520, 8  # HU
SPINE = 0.70  # where the vertebra lies, as a share of the depth of the thorax


@dataclass(frozen=True)
class Patient:
    """What differs between patients; lengths are shares of half the field of view."""

    seed: tuple[int, ...]
    scale: float
    wide: float
    deep: float
    shift: float
    fat: float
    heart: float
    dome: float
    lean: float
    table: float
    effusion: float

    @classmethod
    def draw(cls, seed: tuple[int, ...], scale: float, effusion: float = 0.0) -> Patient:
        """Draw a patient; ``effusion`` is the chance of fluid in a chest."""
        rng = np.random.default_rng(seed)
        wide, deep, fat, heart, dome = rng.uniform((0.68, 0.50, 0.02, 0.82, 0.7), (0.76, 0.58, 0.09, 1.06, 1.1))
        has = rng.random() < effusion
        return cls(
            seed=seed,
            scale=scale * rng.uniform(0.95, 1.05),
            wide=wide,
            deep=deep,
            shift=rng.uniform(-0.03, 0.03),
            fat=fat,
            heart=heart,
            dome=dome,
            lean=rng.normal(0, 0.03),
            table=rng.uniform(0.06, 0.12),
            effusion=rng.uniform(0.25, 0.6) if has else 0.0,
        )


@dataclass(frozen=True)
class Chest:
    """One slice of a patient: coverage 0..1 of each organ, and the lungs as masks."""

    grid: Grid
    body: F32
    thorax: F32
    around: F32
    lung: F32
    effusion: F32
    parts: dict[str, F32]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Return the patient's right lung, on the left of the picture."""
        return (self.lung > 0.5) & (self.grid.x < 0)

    @property
    def left(self) -> npt.NDArray[np.bool_]:
        """Return the patient's left lung."""
        return (self.lung > 0.5) & (self.grid.x >= 0)


def chest(patient: Patient, height: float, position: int, pixels: int, extent: float) -> Chest:
    """Lay out a slice at ``height``, 0 at the diaphragm and 1 at the apex. The layout does not depend on ``pixels``."""
    rng = np.random.default_rng([*patient.seed, position])
    plain = Grid.square(pixels, extent)
    s = patient.scale
    warp = [field(rng, plain, 0.42) * np.float32(0.013) + field(rng, plain, 0.16) * np.float32(0.004) for _ in "xy"]
    grid = Grid(
        (plain.x - np.float32(patient.shift) + warp[0]) / s, (plain.y + warp[1]) / s + np.float32(0.05), plain.pixel / s
    )

    taper = float(np.interp(height, [0, 0.25, 0.6, 0.85, 1.05], [0.97, 1.0, 0.92, 0.72, 0.40]))
    a, b = patient.wide * taper, patient.deep * (0.35 + 0.65 * taper)
    back = patient.deep - b  # the thorax tapers towards its back
    body = grid.ellipse(0, 0.03, patient.wide + 0.07 + patient.fat, patient.deep + 0.13 + patient.fat, power=2.35)
    thorax = grid.ellipse(0, back * 0.6, a, b, power=2.3)
    around = 1 - thorax / np.float32(min(a, b))

    parts: dict[str, F32] = {}

    def part(name: str, *ellipses: F32) -> F32:
        parts[name] = grid.soft(np.maximum.reduce(ellipses))
        return parts[name]

    spine_y = patient.deep * SPINE
    part("vertebra", grid.ellipse(0, spine_y, 0.125, 0.095, power=2.4))
    part("canal", grid.ellipse(0, spine_y + 0.132, 0.042, 0.038))
    part(
        "arch",
        grid.ellipse(0, spine_y + 0.132, 0.075, 0.07),
        grid.ellipse(0, spine_y + 0.235, 0.022, 0.085),
        grid.ellipse(-0.13, spine_y + 0.12, 0.10, 0.026, -0.35),
        grid.ellipse(0.13, spine_y + 0.12, 0.10, 0.026, 0.35),
    )
    paraspinal = grid.ellipse(0, spine_y + 0.13, 0.15, 0.24, power=2.2)
    part("paraspinal", paraspinal)

    beat = patient.heart * float(np.interp(height, [-0.05, 0.1, 0.3, 0.45, 0.62], [0.7, 1.0, 1.0, 0.75, 0.0]))
    heart = grid.ellipse(0.10 * patient.heart, -0.13, 0.33 * beat + 1e-3, 0.25 * beat + 1e-3, 0.45 + patient.lean)
    pericardium = heart + np.float32(0.02)
    part("heart", heart if beat > 0 else heart - 1)
    core = grid.ellipse(0.01, -0.02, 0.115 + 0.035 * height, 0.30, power=2.4)
    septum = grid.ellipse(0, -b * 0.6, 0.035, b * 0.5)
    part("aorta", grid.ellipse(0.125, spine_y - 0.13, 0.062, 0.062))
    if height > 0.42:
        part(
            "vessel",
            grid.ellipse(-0.045, -0.14, 0.068, 0.062),
            grid.ellipse(-0.12, -0.09, 0.036, 0.042),
            grid.ellipse(0.06, -0.07, 0.085, 0.055, -0.5) if height < 0.62 else grid.ellipse(0.07, -0.1, 0.05, 0.045),
        )
    middle = np.maximum.reduce(
        [pericardium if beat > 0 else core, core, septum, grid.ellipse(0.12, spine_y - 0.12, 0.08, 0.08)]
    )
    if height > 0.6:
        part("trachea", grid.ellipse(0, 0.05, 0.048, 0.044))
    elif height > 0.44:
        part("trachea", grid.ellipse(-0.085, 0.06, 0.05, 0.026, 0.4), grid.ellipse(0.085, 0.07, 0.055, 0.024, -0.4))

    domes = []
    for name, side, reach, at in (
        ("liver", -1, 0.36 * patient.dome, -0.02),
        ("stomach", 1, 0.20 * patient.dome, -0.06),
    ):
        rise = np.sqrt(max(0.0, 1 - max(height + 0.05, 0) / reach))
        if rise > 0:
            dome = grid.ellipse(side * a * 0.47, at, a * 0.50 * rise + 1e-3, b * 0.78 * rise + 1e-3, power=2.2)
            part(name, dome)
            domes.append(dome)

    effusion = np.full_like(grid.x, -1)
    if patient.effusion:
        side = -1 if patient.seed[-1] % 2 else 1
        level = b * (0.95 - patient.effusion * float(np.interp(height, [0, 0.7], [1, 0.2]))) + back
        meniscus = (
            grid.y - np.float32(level) + np.float32(0.8) * np.clip(np.abs(grid.x) - np.float32(0.5 * a), 0, None) ** 1.5
        )
        effusion = np.minimum(meniscus, grid.x * side)

    inside = np.minimum.reduce([thorax - np.float32(0.012), -middle, -paraspinal, *(-dome for dome in domes)])
    lung = _rounded(grid.soft(np.minimum(inside, -effusion)))
    fluid = grid.soft(np.minimum(inside, effusion)) if patient.effusion else np.zeros_like(lung)
    return Chest(grid, grid.soft(body), grid.soft(thorax), around, lung, fluid, parts)


def _rounded(cover: F32) -> F32:
    """Round corners and drop slivers, which lungs do not have."""
    from scipy import ndimage

    wide = len(cover) / 128
    smooth = ndimage.gaussian_filter(cover, 1.6 * wide)
    return np.clip((smooth - np.float32(0.5)) * np.float32(3.2) + np.float32(0.5), 0, 1)


def paint(patient: Patient, slice_: Chest, height: float, position: int) -> F32:
    """Return the healthy slice in HU, without noise."""
    rng = np.random.default_rng([*patient.seed, position, 1])
    grid, parts = slice_.grid, slice_.parts
    image = np.full_like(grid.x, AIR)
    table = grid.y - np.float32(patient.deep + 0.24 + patient.fat) - np.float32(patient.table) * (grid.x**2 - 1)
    for depth, value in ((0.03, -250.0), (0.16, -320.0)):
        image = mix(image, value, grid.soft(np.float32(0.010) - np.abs(table - np.float32(depth))))

    image = mix(image, FAT + 12 * field(rng, grid, 0.12), slice_.body)
    wall = 1.21 + 0.02 * field(rng, grid, 0.3) + 0.05 * np.abs(grid.x) - slice_.around
    image = mix(
        image,
        MUSCLE + 10 * field(rng, grid, 0.08),
        grid.soft((wall * np.float32(0.5)).astype(np.float32)) * slice_.body,
    )
    image = _bones(rng, image, slice_, patient, height)

    image = mix(image, FAT + 25 * field(rng, grid, 0.1), slice_.thorax)
    image = _spine(rng, image, slice_, patient)
    for name, value in (
        ("heart", BLOOD),
        ("aorta", BLOOD + 12),
        ("vessel", BLOOD + 8),
        ("liver", LIVER),
        ("stomach", 38),
    ):
        if name in parts:
            image = mix(image, value + 6 * field(rng, grid, 0.15), parts[name])
    if height < 0.12 and "stomach" in parts and rng.random() < 0.5:
        x, y = 0.3 * patient.wide / 0.7, -0.22
        image = mix(image, -960.0, grid.soft(grid.ellipse(x, y, 0.10, 0.05)) * parts["stomach"])

    # lung: darker in front, denser where the body presses on it, never even
    tissue = LUNG + 22 * field(rng, grid, 0.28) + 16 * field(rng, grid, 0.07) + 70 * grid.y
    tissue = tissue + 60 * np.clip((slice_.around - np.float32(0.80)) * 5, 0, 1) * (grid.y > 0.1)
    roots = [
        (side * rng.uniform(0.13, 0.2), rng.uniform(-0.06, 0.12), angle if side > 0 else np.pi - angle)
        for side in (-1, 1)
        for angle in rng.normal((-0.9, -0.2, 0.5, 1.1), 0.2)
    ]
    tree = vessels(rng, grid, roots, float(np.interp(height, [0, 0.5, 1], [0.9, 1.0, 0.75])))
    tissue = mix(tissue, BLOOD, tree * np.float32(0.85))
    for _ in range(5):  # bronchi: a dark lumen in a bright wall
        x, y, r = rng.choice([-1, 1]) * rng.uniform(0.18, 0.34), rng.uniform(-0.12, 0.2), rng.uniform(0.012, 0.022)
        ring = grid.ellipse(x, y, r * 1.3, r)
        tissue = mix(mix(tissue, -250.0, grid.soft(ring + np.float32(0.009))), -960.0, grid.soft(ring))
    image = mix(image, tissue, slice_.lung)
    image = mix(image, FLUID + 5 * field(rng, grid, 0.1), slice_.effusion)
    if "trachea" in parts:
        image = mix(image, -985.0, parts["trachea"])
    return image


def _bones(rng: np.random.Generator, image: F32, slice_: Chest, patient: Patient, height: float) -> F32:
    """Paint ribs, shoulder blades and breastbone."""
    grid, around = slice_.grid, slice_.around
    angle = np.arctan2(grid.y, np.abs(grid.x))  # -pi/2 in front, pi/2 at the back, the same on both sides
    phase = height * 14 + float(rng.uniform(0, 0.6))
    rib = np.cos(angle * 7.2 + phase + np.float32(0.25) * np.sign(grid.x)) - np.float32(0.25)
    shell = np.float32(0.038) - np.abs(around - np.float32(1.085) - np.float32(0.03) * rib)
    ribs = grid.soft(np.minimum(shell * np.float32(0.55), rib * np.float32(0.08)))
    ribs = ribs * (np.abs(grid.x) > 0.16)
    image = mix(image, BONE - 120 + 110 * field(rng, grid, 0.05), ribs * slice_.body)
    if height > 0.45:
        blade = np.minimum(
            np.float32(0.018) - np.abs(around - np.float32(1.30)) * np.float32(0.5),
            np.float32(0.32) - np.abs(angle - 0.75),
        )
        image = mix(image, BONE - 150.0, grid.soft(blade) * slice_.body)
    sternum = grid.ellipse(0, -patient.deep - 0.055, 0.10, 0.032, power=2.6)
    image = mix(image, BONE - 200.0, grid.soft(sternum))
    image = mix(image, MARROW, grid.soft(sternum - np.float32(0.014)))
    return image


def _spine(rng: np.random.Generator, image: F32, slice_: Chest, patient: Patient) -> F32:
    """Paint the vertebra with its canal, between the muscles beside it."""
    grid, parts = slice_.grid, slice_.parts
    image = mix(image, MUSCLE - 4 + 12 * field(rng, grid, 0.07), parts["paraspinal"] * slice_.body)
    image = mix(image, BONE - 60.0, parts["arch"])
    image = mix(image, BONE, parts["vertebra"])
    spine_y = patient.deep * SPINE
    image = mix(
        image, MARROW + 45 * field(rng, grid, 0.04), grid.soft(grid.ellipse(0, spine_y, 0.106, 0.076, power=2.4))
    )
    return mix(image, 25.0, parts["canal"])
