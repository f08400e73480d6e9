"""Scores of predictions under a protocol: per slice, per case, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from covidseg.base import csvfile
from covidseg.base.errors import UserError, nearest
from covidseg.base.files import write_json
from covidseg.base.images import read_pairs, resized
from covidseg.metrics import measures
from covidseg.metrics.overlap import binarise, mean_absolute_error
from covidseg.metrics.pair import Pair, Totals
from covidseg.metrics.toolbox import CURVES, MEASURES, THRESHOLDS, Floats, toolbox
from covidseg.schema import Protocol

Row = dict[str, Any]
Array = np.ndarray[Any, Any]

LESION = "lesion"  # the class of a folder of masks
ABOUT = ("unit", "case", "slice", "class", "length_unit")  # the columns of a row that are no metrics


@dataclass(frozen=True)
class Slice:
    """A prediction of one class on one slice, and its truth.

    ``prob`` (H, W): 8-bit (255 times the probability) or float 0..1; ``truth`` (H, W) bool; ``position`` counts along
    the body; ``spacing`` (dz, dy, dx) in mm, NaN where unknown. ``mask`` (H, W) bool: the predicted mask where other
    classes decide it too; None: it is the map's, at the protocol's threshold. Not ``drawn``: only whether the slice
    shows the lesion is known; the truth is then all of the slice or nothing, and most metrics have no value.
    """

    case: str
    slice: str
    position: int
    cls: str
    prob: Array
    truth: Array
    spacing: tuple[float, float, float]
    mask: Array | None = None
    drawn: bool = True

    def predicted(self, threshold: float = 0.5) -> Array:
        """Return the predicted mask, bool (H, W)."""
        return binarise(self.prob, threshold) if self.mask is None else self.mask


@dataclass(frozen=True)
class _Scored:
    """What is kept of a slice until its case is complete: masks as bits, 1/8 of their size."""

    row: Row
    position: int
    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    lesion: bool
    counted: Totals | None = None
    mae: float = 0.0
    masks: Array | None = None


class Scorer:
    """Scores slices under a protocol as they come; of a slice the masks stay in memory until its case is complete.

    The slices of a case have to come one after the other. ``curves`` receives each slice's threshold curves (engine
    toolbox, which tries every threshold on the map and has no use for a slice's ``mask``).
    """

    def __init__(self, protocol: Protocol, curves: list[Floats] | None = None) -> None:
        """Raises UserError for a metric of the protocol that we do not compute."""
        check_measures(protocol, f"protocol {protocol.title}")
        self._protocol, self._curves = protocol, curves
        self._slices: list[Row] = []
        self._cases: dict[str, list[Row]] = {}
        self._open: dict[str, list[_Scored]] = {}  # the last slice's case, by class
        self._all: dict[str, list[_Scored]] = {}  # every slice without its masks, by class, where all are pooled

    def add(self, s: Slice) -> None:
        """Score one class of a slice.

        Raises UserError where map and truth differ in shape or the map is not finite, and for a case that was complete.
        """
        _check_slice(s)
        if s.case not in self._cases:
            self._close()
            self._cases[s.case] = []
        elif self._cases[s.case]:
            raise UserError(f"case {s.case}: its slices are not together; bring them into the order of their cases")
        toolbox = self._protocol.engine == "toolbox"
        if not s.drawn:
            found = _by_image(self._protocol, s)
        else:
            found = _by_toolbox(s, self._curves) if toolbox else _by_masks(self._protocol, s)
        self._slices.append(_shown(self._protocol, found))
        self._open.setdefault(s.cls, []).append(found)
        if self._protocol.unit == "pooled":
            self._all.setdefault(s.cls, []).append(replace(found, masks=None))

    def rows(self) -> list[Row]:
        """Return a row per slice and class, then a row per case and class, then one per class where all are pooled.

        A row has unit (slice, case or pooled), case (``all`` where pooled), slice (empty but for a slice), class, the
        protocol's metrics, and length_unit (mm or px) where the protocol measures in mm. Where the protocol is over
        slices with lesion, metrics of a slice or case without any are NaN.
        """
        self._close()
        pooled = [_pooled_row(self._protocol, parts) for parts in self._all.values()]
        return [*self._slices, *(row for rows in self._cases.values() for row in rows), *pooled]

    def _close(self) -> None:
        if self._open:
            case = next(reversed(self._cases))
            self._cases[case] = [_case_row(self._protocol, parts) for parts in self._open.values()]
            self._open = {}


def score_slices(protocol: Protocol, slices: Iterable[Slice], curves: list[Floats] | None = None) -> list[Row]:
    """Return the rows of slices under a protocol, see ``Scorer``."""
    scorer = Scorer(protocol, curves)
    for s in slices:
        scorer.add(s)
    return scorer.rows()


def check_measures(protocol: Protocol, where: str) -> None:
    """Raise UserError when a metric of the protocol is none that we compute, or none that can be pooled where it is."""
    whole = protocol.engine == "toolbox"
    legal = MEASURES if whole else tuple(measures.names())
    if whole and (protocol.unit == "pooled" or protocol.over != "all"):
        raise UserError(f"{where}: the engine toolbox scores each slice by itself; leave out unit: pooled and over")
    for key, metric in protocol.metrics.items():
        name = key if whole else metric.measure or key
        if name not in legal:
            raise UserError(f"{where}: metrics.{key}: unknown measure {name!r}; {nearest(name, legal)}")
        if protocol.unit == "pooled":
            try:
                measures.load(name)(Pair(None, (1.0, 1.0), protocol.tolerance, 0.0, parts=[]))
            except LookupError:
                raise UserError(
                    f"{where}: metrics.{key}: {name} has no value for all slices together; set unit: slice or case"
                ) from None


def _check_slice(s: Slice) -> None:
    if s.prob.shape != s.truth.shape or s.truth.ndim != 2:
        raise UserError(
            f"slice {s.slice}: prediction {_size(s.prob.shape)}, truth {_size(s.truth.shape)}; bring to one size"
        )
    if s.mask is not None and s.mask.shape != s.truth.shape:
        raise UserError(f"slice {s.slice}: mask {_size(s.mask.shape)}, truth {_size(s.truth.shape)}; bring to one size")
    if s.prob.dtype.kind == "f" and not np.isfinite(s.prob).all():
        raise UserError(f"slice {s.slice}: NaN or infinite probabilities; train again with a lower learning rate")


def _row(unit: str, s: Slice, values: Row) -> Row:
    return {"unit": unit, "case": s.case, "slice": s.slice, "class": s.cls, **values}


def _by_toolbox(s: Slice, curves: list[Floats] | None) -> _Scored:
    result = toolbox(s.prob, s.truth.astype(bool, copy=False))
    if curves is not None:
        curves.append(result.curves)
    return _Scored(_row("slice", s, dict(result.row())), s.position, s.truth.shape, s.spacing, bool(s.truth.any()))


def _by_masks(protocol: Protocol, s: Slice) -> _Scored:
    truth, mask = s.truth.astype(bool, copy=False), s.predicted(protocol.threshold)
    mae = mean_absolute_error(s.prob, truth)
    values, counted = _measure(protocol, (truth, mask), s.spacing[1:], mae)
    masks = np.packbits([truth, mask]) if protocol.cases == "volume" else None
    row = _row("slice", s, values)
    return _Scored(row, s.position, truth.shape, s.spacing, bool(truth.any()), counted, mae, masks)


def _by_image(protocol: Protocol, s: Slice) -> _Scored:
    """Return what is known of a slice whose truth nobody drew: measures that ask only whether it shows the lesion."""
    truth, mask = s.truth.astype(bool, copy=False), s.predicted(protocol.threshold)
    pair = Pair((truth, mask), s.spacing[1:], protocol.tolerance, math.nan)
    values: Row = dict.fromkeys(protocol.metrics, math.nan)
    for key, metric in protocol.metrics.items() if protocol.engine == "masks" else ():
        if hasattr(measure := measures.load(metric.measure or key), "by_image"):
            values[key] = measure(pair)
    if protocol.spacing == "mm":
        values["length_unit"] = "px"
    return _Scored(_row("slice", s, values), s.position, truth.shape, s.spacing, bool(truth.any()))


def _measure(
    protocol: Protocol,
    masks: tuple[Array, Array] | None,
    spacing: tuple[float, ...],
    mae: float,
    parts: list[Totals] | None = None,
) -> tuple[Row, Totals]:
    """Return the values of the protocol's metrics, and what was counted for them on the way."""
    known = protocol.spacing == "mm" and all(math.isfinite(step) and step > 0 for step in spacing)
    pair = Pair(masks, spacing if known else (1.0,) * len(spacing), protocol.tolerance, mae, parts, known)
    row: Row = {key: measures.load(metric.measure or key)(pair) for key, metric in protocol.metrics.items()}
    return {**row, "length_unit": "mm" if known else "px"} if protocol.spacing == "mm" else row, pair.counted


def _case_row(protocol: Protocol, parts: list[_Scored]) -> Row:
    """Return a case's row: its slices' mean, or its 3-D scores where the protocol wants them and the slices stack.

    With ``over: lesion``, a mean is over slices with lesion, and a case without any has no value.
    """
    row: Row = {**parts[0].row, "unit": "case", "slice": ""}
    counting = [part for part in parts if part.lesion or protocol.over == "all"]
    if not counting:
        return {**row, **dict.fromkeys(protocol.metrics, math.nan)}
    if len(parts) == 1:
        return row
    drawn = all(part.masks is not None for part in parts)
    if protocol.cases == "volume" and drawn and len({part.shape for part in parts}) == 1:
        return {**row, **_volume(protocol, parts)}
    units = {part.row.get("length_unit") for part in parts}
    means = {key: float(np.mean([part.row[key] for part in counting])) for key in protocol.metrics}
    return {**row, **means, **({"length_unit": "mixed"} if len(units) > 1 else {})}


def _shown(protocol: Protocol, part: _Scored) -> Row:
    """Return a slice's row, without values where the protocol is over slices with lesion and this one has none."""
    if part.lesion or protocol.over == "all":
        return part.row
    return {**part.row, **dict.fromkeys(protocol.metrics, math.nan)}


def _pooled_row(protocol: Protocol, parts: list[_Scored]) -> Row:
    """Return the row of all slices together: pixels (and what else adds up) are counted over all of them."""
    row: Row = {**parts[0].row, "unit": "pooled", "case": "all", "slice": ""}
    counting = [part for part in parts if part.lesion or protocol.over == "all"]
    if not counting or any(part.counted is None for part in counting):  # nobody drew the truth of all
        return {**row, **dict.fromkeys(protocol.metrics, math.nan)}
    mae = float(np.average([part.mae for part in counting], weights=[math.prod(part.shape) for part in counting]))
    counted = [part.counted for part in counting if part.counted is not None]
    return {**row, **_measure(protocol, None, (math.nan, math.nan), mae, counted)[0]}


def _volume(protocol: Protocol, parts: list[_Scored]) -> Row:
    """Return the 3-D scores of a case. Slices that are not there count as empty in both masks, for distances only."""
    parts = sorted(parts, key=lambda part: part.position)
    first, last = parts[0].position, parts[-1].position
    if len({part.position for part in parts}) < len(parts):
        raise UserError(f"case {parts[0].row['case']}: two slices at one position; give every slice its own")
    shape = parts[0].shape
    both = np.zeros((2, last - first + 1, *shape), bool)
    for part in parts:
        if part.masks is not None:
            both[:, part.position - first] = np.unpackbits(part.masks, count=2 * math.prod(shape)).reshape(2, *shape)
    mae = float(np.mean([part.mae for part in parts]))
    counted = [part.counted for part in parts if part.counted is not None]
    return _measure(protocol, (both[0], both[1]), parts[0].spacing, mae, counted)[0]


def summarise(rows: Iterable[Row], protocol: Protocol) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return class -> metric -> mean, std (n - 1; None for one row) and n, over the protocol's unit.

    Rows without a value are left out; a mean of none is None.
    """
    values: dict[str, list[Row]] = {}
    for row in rows:
        if row["unit"] == protocol.unit:
            values.setdefault(row["class"], []).append(row)
    return {
        cls: {key: _spread([row[key] for row in found], metric.summary) for key, metric in protocol.metrics.items()}
        for cls, found in values.items()
    }


def _spread(rows: list[float], summary: str = "mean") -> dict[str, float | int | None]:
    """Return mean, std and n of the values that are there; for a median also it and the quartiles, for a sum it."""
    values = [value for value in rows if not math.isnan(value)]
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    found = {"mean": float(np.mean(values)) if values else None, "std": std, "n": len(values)}
    if summary == "median":
        quartiles = np.percentile(values, (25, 50, 75)).tolist() if values else (None, None, None)
        found |= dict(zip(("q1", "median", "q3"), quartiles, strict=True))
    return found | ({"sum": float(np.sum(values))} if summary == "sum" else {})


def score_folders(protocol: Protocol, truth: Path, pred: Path, out: Path) -> Row:
    """Score a folder of predictions against a folder of masks with equal names, PNG, JPEG or NIfTI.

    Writes cases.csv (a row per file), slices.csv (a row per slice, for volumes), summary.json (the metrics' means over
    the protocol's unit, and ``about``), for the toolbox also curves.csv. Returns the summary. Raises UserError.
    """
    curves: list[Floats] = []
    empty = Empty(protocol)
    rows = score_slices(protocol, empty.watch(_folder_slices(protocol, truth, pred)), curves)
    slices, cases = ([row for row in rows if row["unit"] == unit] for unit in ("slice", "case"))
    write_rows(out / "cases.csv", cases)
    if len(slices) > len(cases):
        write_rows(out / "slices.csv", slices)
    spread = summarise(rows, protocol)[LESION]
    summary: Row = {key: found[protocol.metrics[key].summary] for key, found in spread.items()}
    if protocol.engine == "toolbox":
        # The authors' order, images first and thresholds second, gives their numbers to the last bit.
        mean = np.mean(curves, axis=0)
        summary |= dict(zip(CURVES, mean.mean(axis=1).tolist(), strict=True))
        write_rows(out / "curves.csv", [dict(zip(("threshold", *CURVES), line, strict=True)) for line in _lines(mean)])
    summary["about"] = {
        "protocol": protocol.title,
        "unit": protocol.unit,
        "cases": len(cases),
        "slices": len(slices),
        **empty.counts,
        "std": {key: found["std"] for key, found in spread.items()},
        **({"quartiles": quartiles} if (quartiles := _quartiles(spread)) else {}),
        **_lengths(protocol, rows),
    }
    write_json(out / "summary.json", summary)
    return summary


class Empty:
    """Counts what a distance cannot measure: slices, or cases, in which something was missed or invented altogether."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._seen: dict[str, tuple[bool, bool]] = {}  # slice or case -> whether something is there, was found

    def watch(self, slices: Iterable[Slice]) -> Iterator[Slice]:
        """Yield the slices as they come."""
        for s in slices:
            key = s.case if self._protocol.unit == "case" else s.slice
            there, found = self._seen.get(key, (False, False))
            mask = s.predicted(self._protocol.threshold)
            self._seen[key] = there or bool(s.truth.any()), found or bool(mask.any())
            yield s

    @property
    def counts(self) -> dict[str, int]:
        """Return how many were missed and how many invented."""
        seen = list(self._seen.values())
        return {"missed": seen.count((True, False)), "invented": seen.count((False, True))}


def _quartiles(spread: dict[str, dict[str, float | int | None]]) -> dict[str, dict[str, float | int | None]]:
    return {key: {part: found[part] for part in ("q1", "q3", "n")} for key, found in spread.items() if "q1" in found}


def in_words(summary: Row, protocol: Protocol) -> str:
    """Return a summary of ``score_folders`` as a line that says of what each number is and in which unit."""
    about = summary["about"]
    count, unit = (about["cases"], "scans") if protocol.unit == "case" else (about["slices"], "slices")
    means = all(metric.summary == "mean" for metric in protocol.metrics.values())
    parts = []
    for key, value in summary.items():
        if key == "about" or value is None:
            continue
        metric = protocol.metrics.get(key)
        digits, name = (metric.digits, metric.title) if metric else (4, key)
        length = metric.unit.replace("mm or px", about.get("length_unit", "px")) if metric else ""
        if metric and metric.summary == "sum":
            parts.append(f"{name} {value:.0f} of {count}")
            continue
        text = f"{name} {value:.{digits}f}" + f" {length}" * bool(length)
        if not means and not (metric and metric.summary == "median"):
            text += " (mean)"
        if metric and metric.summary == "median":
            q = about["quartiles"][key]
            text += f" (median, quartiles {q['q1']:.{digits}f} to {q['q3']:.{digits}f}, {q['n']} of {count})"
        parts.append(text)
    if not any(metric.summary == "sum" for metric in protocol.metrics.values()):
        parts.append(f"missed {about['missed']}, invented {about['invented']} of {count}")
    where = "pooled over" if protocol.unit == "pooled" else "mean over" if means else "over"
    return f"{where} {count} {unit}: {'  '.join(parts)}"


def _lines(mean: Floats) -> list[list[float]]:
    return np.vstack([THRESHOLDS, mean]).T.tolist()  # type: ignore[no-any-return]


def _lengths(protocol: Protocol, rows: list[Row]) -> Row:
    units = {row["length_unit"] for row in rows if row["unit"] == protocol.unit and "length_unit" in row}
    return {"length_unit": units.pop() if len(units) == 1 else "mixed"} if units else {}


def _folder_slices(protocol: Protocol, truth: Path, pred: Path) -> Iterator[Slice]:
    for name, path, t, p in read_pairs(truth, pred):
        values = p.values
        if protocol.engine == "toolbox" and len(values) == len(t.values) and values.shape != t.values.shape:
            values = np.stack([resized(v, t.values.shape[1:]) for v in values])  # as its authors do
        if values.shape != t.values.shape:
            raise UserError(f"{path}: {_size(values.shape)}, but its truth has {_size(t.values.shape)}; use one grid")
        for k in range(len(values)):
            label = name if len(values) == 1 else f"{name}/{k:03d}"
            yield Slice(name, label, k, LESION, values[k], t.values[k], t.spacing)


def write_rows(path: Path, rows: list[Row], without: Sequence[str] = ()) -> None:
    """Write rows as CSV, with the columns of all of them in the order in which they appear; floats in full.

    ``without``: the columns where there are no rows.
    """
    columns = list(dict.fromkeys([key for row in rows for key in row] or without))
    csvfile.write(path, columns, rows)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
