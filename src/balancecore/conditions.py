"""What a condition changes: surface, camber, speed, a cue, before and after, each subject against itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import DataError
from balancecore.many import BatchResult
from balancecore.schema import COLUMNS, SYMMETRY_METRICS, Column
from balancecore.steps import unusable
from balancecore.subjects import plain_cell
from balancecore.symmetry import (
    MIN_BOOT,
    MIN_PAIRS,
    block_length,
    block_starts,
    pair_strides,
    percentile_interval,
    replicate_sums,
    symmetry_index,
)
from balancecore.tidy import TidyTable

__all__ = ["GROUP", "QUANTITIES", "compare_conditions", "label"]

FloatArray = NDArray[np.float64]
Unit = Literal["auto", "strides", "trials"]
_Row = tuple[Any, ...]

#: In the place of a subject's name: the mean of all subjects.
GROUP = "(group)"
#: What is compared of every metric.
QUANTITIES = ("mean", "left", "right", "si")
#: So many trials of each condition are resampled themselves, not the strides within them.
ENOUGH_TRIALS = 5
#: Percentile intervals of so few subjects are much too narrow.
FEW_SUBJECTS = 10
_UNITS = {c.id: c.unit for c in COLUMNS}
_METRICS = tuple(c.id for c in COLUMNS if c.dtype == "float64" and c.id not in ("t_on", "t_off"))

_SOURCE = "metrics 5.4; percentile bootstrap"
_TABLE = (
    Column("subject", "", "str", f"the subject, or {GROUP} for the mean over subjects"),
    Column("reference", "", "str", "the condition that is compared with"),
    Column("condition", "", "str", "the condition that is compared"),
    Column("metric", "", "str", "column of the step table"),
    Column(
        "quantity",
        "",
        "str",
        "mean: half the sum of the limb means; left, right: a limb's mean; si: symmetry index of the limb means",
        "",
        "metrics 5.1",
    ),
    Column("unit", "", "str", "unit of the values; % points for differences of si"),
    Column("at_reference", "", "float64", "value in the reference condition", "a limb has no value"),
    Column("at_condition", "", "float64", "value in the compared condition", "a limb has no value"),
    Column("difference", "", "float64", "at_condition - at_reference; of the group, its mean over subjects"),
    Column("ci_low", "", "float64", "lower end of its 95 % interval", "too little to resample", _SOURCE),
    Column("ci_high", "", "float64", "upper end of its 95 % interval", "too little to resample", _SOURCE),
    Column("difference_pct", "%", "float64", "100 difference / |at_reference|", "si, or a reference of zero"),
    Column("n_reference", "", "int64", "what was resampled in the reference: fewest values of a limb"),
    Column("n_condition", "", "int64", "what was resampled in the condition: fewest values of a limb"),
    Column("resampled", "", "str", "stride pairs, trials, or subjects"),
    Column("note", "", "str", "why something is missing or to be read with care"),
)


def compare_conditions(
    data: BatchResult | Any,
    condition: str,
    *,
    subject: str = "subject",
    metrics: Sequence[str] = SYMMETRY_METRICS,
    reference: str | float | None = None,
    unit: Unit = "auto",
    n_boot: int = 2000,
    seed: int = 0,
) -> TidyTable:
    """Compare conditions within each subject, metric by metric.

    Parameters
    ----------
    data : BatchResult, or a table of steps or of trials
        From :func:`balancecore.analyze_many`; a table may be a `TidyTable`, a DataFrame, an Arrow table, or a mapping
        of columns. A table of trials (without ``t_on``) has no strides, so that trials are resampled.
    condition : str
        Column with the conditions, such as ``"surface"`` or ``"cue"``. Rows where it is empty are left out.
    subject : str
        Column with the subjects' codes.
    metrics : sequence of str
        Columns of the step table. Default: those on which limbs are compared.
    reference : str or number, optional
        The condition that all others are compared with; default: the first in the table,
        whether or not its first trials could be analysed.
    unit : {"auto", "strides", "trials"}
        What is resampled in a subject. "auto": trials where each condition has at least 5, else stride pairs within
        the trials, else trials where there are 3.
    n_boot, seed : int
        Replicates (at least 40, or 0 for no intervals) and the seed that repeats them.

    Returns
    -------
    TidyTable
        A row for every subject with both conditions, condition, metric and quantity; after the subjects the rows of
        the group, whose note says how many subjects lack one of the two.

    Raises
    ------
    DataError
        A column that is not there, fewer than two conditions, a reference that no trial was analysed of, no subject
        with two conditions, or an option out of range.

    Notes
    -----
    *Values.* With stride pairs a limb's mean in a condition is over all usable steps of its trials; with trials it is
    the mean of the trials' means. ``mean`` is half the sum of both limbs' means, ``si`` their symmetry index.
    Differences are condition less reference. Where sides are A and B, which of them is left may differ between
    trials: only ``mean`` is given.

    *Intervals.* The 2.5 and 97.5 percentile of the replicates' differences. The two conditions are different
    recordings of one subject, so that each is resampled by itself: stride pairs in circular blocks of ⌈n^(1/3)⌉ within
    each trial, or trials one by one. What is paired is the subject: the group's row is the mean of the subjects'
    differences, each counting once, and its interval resamples subjects. Draws are PCG64's raw output as in
    :func:`balancecore.compare_limbs`. No interval is given for fewer than 3 pairs, trials or subjects; for few it is
    too narrow (see the page on symmetry).

    An interval that excludes zero says that the difference is more than these recordings vary by chance. It does not
    say that it would come back on another day, or that it matters.

    Examples
    --------
    >>> import balancecore as bc
    >>> steps = []
    >>> for surface, left in (("track", bc.simulate.LEFT), ("grass", bc.simulate.RIGHT)):
    ...     found = bc.analyze_gait(bc.simulate.treadmill(n_steps=24, left=left, seed=1).trial, mass_kg=70.0, n_boot=0)
    ...     steps.append({name: found.steps[name] for name in found.steps.columns} | {
    ...         "subject": ["a"] * len(found.steps), "surface": [surface] * len(found.steps),
    ...         "trial": [len(steps)] * len(found.steps)})
    >>> table = {name: [v for part in steps for v in part[name]] for name in steps[0]}
    >>> rows = compare_conditions(table, "surface", metrics=["tc"])
    >>> [row["quantity"] for row in rows], rows[0]["reference"], rows[0]["condition"]
    (['mean', 'left', 'right', 'si'], 'track', 'grass')
    """
    names = list(metrics)
    unknown = sorted(set(names) - set(_METRICS))
    if unknown or not names:
        raise DataError(f"metrics: {', '.join(unknown) or 'nothing'} is no metric of the step table")
    if unit not in ("auto", "strides", "trials"):
        raise DataError(f"unit={unit!r}: choose one of 'auto', 'strides', 'trials'")
    if (n_boot and n_boot < MIN_BOOT) or seed < 0:
        raise DataError(
            f"n_boot={n_boot}, seed={seed}: at least {MIN_BOOT} replicates (or 0), no negative seed"
        )
    table = data.steps if isinstance(data, BatchResult) else data
    cells = _gather(_columns(table), condition, subject, names)
    # Failed trials have no steps, but their conditions and subjects count.
    planned = _pairs(_columns(data.trials if isinstance(data, BatchResult) else data), subject, condition)
    base, others = _base(planned, cells, condition, reference)
    subjects = dict.fromkeys(who for who, state in planned if who and state)
    how = _How(tuple(names), unit, n_boot, seed)
    rows: list[_Row] = []
    for other in others:
        changes = [
            _compare(who, cells[who, base], cells[who, other], how)
            for who in subjects
            if (who, base) in cells and (who, other) in cells
        ]
        note = ""
        if len(changes) < len(subjects):
            note = f"{len(changes)} of {len(subjects)} subjects have both conditions"
        if len(changes) == 1:
            changes = [replace(changes[0], note="; ".join(filter(None, (changes[0].note, note))))]
        else:
            changes.append(_group(changes, how, note))
        rows += [row for change in changes for row in _rows(change, base, other, how)]
    data_of = {
        c.id: np.array([row[k] for row in rows], dtype={"str": np.str_}.get(c.dtype, c.dtype))
        for k, c in enumerate(_TABLE)
    }
    return TidyTable(_TABLE, data_of)


@dataclass(frozen=True)
class _How:
    metrics: tuple[str, ...]
    unit: str
    n_boot: int
    seed: int


@dataclass(frozen=True)
class _Trial:
    """One trial: sums and counts of the usable steps by limb (2, m), and its stride pairs (n, 2, m)."""

    sums: FloatArray
    counts: FloatArray
    pairs: FloatArray | None
    sides_known: bool

    @property
    def means(self) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return self.sums / self.counts


@dataclass(frozen=True)
class _Change:
    """One subject, or the group: quantities (4, m) in both conditions, and the interval of their difference."""

    subject: str
    before: FloatArray
    after: FloatArray
    low: FloatArray
    high: FloatArray
    n: tuple[NDArray[np.int64], NDArray[np.int64]]
    resampled: str
    note: str

    @property
    def difference(self) -> FloatArray:
        return self.after - self.before


# ------------------------------------------------------------------------------------------- from the tables


def _columns(table: Any) -> Any:
    """A table as something that knows its columns by name."""
    return dict(zip(table.column_names, table.columns, strict=True)) if hasattr(table, "to_pylist") else table


def _pairs(table: Any, subject: str, condition: str) -> list[tuple[str, str]]:
    """Subject and condition of every row."""
    who, what = ([label(v) for v in np.asarray(table[name]).tolist()] for name in (subject, condition))
    return list(zip(who, what, strict=True))


def _base(
    planned: list[tuple[str, str]],
    cells: dict[tuple[str, str], list[_Trial]],
    condition: str,
    reference: str | float | None,
) -> tuple[str, list[str]]:
    """The condition that is compared with, and those that are compared, in their order."""
    conditions = list(dict.fromkeys(state for who, state in planned if who and state))
    analysed = {state for _, state in cells}
    if len(analysed) < 2:
        raise DataError(f"{condition!r} has fewer than two conditions with analysed trials")
    base = conditions[0] if reference is None else label(reference)
    if base not in conditions:
        raise DataError(f"reference={reference!r}: the conditions are {', '.join(conditions)}")
    if base not in analysed:
        raise DataError(f"no trial of the reference, {base!r}, was analysed: name another reference")
    others = [state for state in conditions if state != base]
    if not any((who, base) in cells and (who, other) in cells for who, _ in cells for other in others):
        raise DataError(f"no subject has analysed trials of {base!r} and of another condition")
    return base, others


def _gather(
    table: Any, condition: str, subject: str, metrics: list[str]
) -> dict[tuple[str, str], list[_Trial]]:
    """Analysed trials by subject and condition."""
    has_steps = "t_on" in table
    wanted = [subject, condition, "trial"]
    wanted += ["side", "flags", "t_on", *metrics] if has_steps else ["limbs"]
    if not has_steps:
        wanted += [f"{m}_{which}" for m in metrics for which in ("left", "right")]
    absent = [name for name in wanted if name not in table]
    if absent:
        raise DataError(f"the table has no column {absent[0]!r}")
    columns = {name: np.asarray(table[name]) for name in wanted}
    cells: dict[tuple[str, str], list[_Trial]] = {}
    rows_of: dict[tuple[str, str, Any], list[int]] = {}
    pairs = _pairs(table, subject, condition)
    for row, ((who, what), trial) in enumerate(zip(pairs, columns["trial"].tolist(), strict=True)):
        if who and what:
            rows_of.setdefault((who, what, trial), []).append(row)
    for (name, state, _), rows in rows_of.items():
        part = {column: values[rows] for column, values in columns.items()}
        found = _of_steps(part, metrics) if has_steps else _of_trial(part, metrics)
        if found is not None:
            cells.setdefault((name, state), []).append(found)
    return cells


def label(value: Any) -> str:
    """A condition or a subject as text; nothing for what is missing."""
    value = plain_cell(value)
    if value is None:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _floats(values: NDArray[Any]) -> FloatArray:
    """A column as numbers; pandas and Arrow have objects of their own for what is missing."""
    if values.dtype.kind == "O":
        values = np.array([math.nan if plain_cell(v) is None else v for v in values.tolist()])
    return values.astype(np.float64)


def _of_steps(part: dict[str, NDArray[Any]], metrics: list[str]) -> _Trial:
    side = part["side"]
    known = not np.isin(side, ("A", "B")).any()
    limbs = ("L", "R") if known else ("A", "B")
    limb = np.select([side == limbs[0], side == limbs[1]], [0, 1], -1)
    limb = np.where(unusable(part["flags"].astype(np.int64)), -1, limb)
    values = np.column_stack([_floats(part[name]) for name in metrics])
    values[~np.isfinite(values)] = np.nan
    by_limb = [values[limb == k] for k in range(2)]
    return _Trial(
        np.array([_column_sums(v) for v in by_limb]),
        np.array([np.isfinite(v).sum(axis=0) for v in by_limb], dtype=np.float64),
        values[pair_strides(limb, _floats(part["t_on"]))],
        known,
    )


def _column_sums(values: FloatArray) -> FloatArray:
    """Sums of the finite values of each column, in an order that doesn't depend on how many columns there are."""
    return np.asarray(np.nansum(np.ascontiguousarray(values.T), axis=1))


def _of_trial(part: dict[str, NDArray[Any]], metrics: list[str]) -> _Trial | None:
    limbs = label(part["limbs"][0])
    if not limbs:
        return None  # not analysed; in a table read back from a file this cell is NaN
    means = np.array([[_floats(part[f"{m}_{which}"])[0] for m in metrics] for which in ("left", "right")])
    counts = np.isfinite(means).astype(np.float64)
    return _Trial(np.nan_to_num(means, nan=0.0), counts, None, limbs == "L/R")


# --------------------------------------------------------------------------------------------- the comparison


def _compare(who: str, before: list[_Trial], after: list[_Trial], how: _How) -> _Change:
    unit = _unit(before, after, how.unit)
    sides_known = all(t.sides_known for t in (*before, *after))
    values = [_quantities(_limb_means(trials, unit), sides_known) for trials in (before, after)]
    drawn = [_strata(trials, unit) for trials in (before, after)]
    n = [np.isfinite(np.concatenate(strata)).sum(axis=0).min(axis=0) for strata in drawn]
    low = np.full_like(values[0], np.nan)
    high = low.copy()
    notes = [] if sides_known else ["sides are A and B: left may be another limb in each trial"]
    if how.n_boot and unit != "none":
        replicates = [
            _quantities(_replicates(strata, unit, how, role), sides_known)
            for role, strata in enumerate(drawn)
        ]
        low, high = _interval(replicates[1] - replicates[0], np.minimum(*n) >= MIN_PAIRS)
    if unit == "none":
        notes.append("no interval: trials with fewer than 3 stride pairs, and fewer than 3 of them")
    resampled = {"strides": "stride pairs", "trials": "trials", "none": "trials"}[unit]
    return _Change(who, values[0], values[1], low, high, (n[0], n[1]), resampled, "; ".join(notes))


def _unit(before: list[_Trial], after: list[_Trial], asked: str) -> str:
    """What is resampled: strides, trials, or none where there is too little of both."""
    trials = min(len(before), len(after))
    strides = all(t.pairs is not None and len(t.pairs) >= MIN_PAIRS for t in (*before, *after))
    if asked == "strides" or (asked == "auto" and strides and trials < ENOUGH_TRIALS):
        return "strides" if strides else "none"
    return "trials" if trials >= MIN_PAIRS else "none"


def _limb_means(trials: list[_Trial], unit: str) -> FloatArray:
    """Means of the limbs (2, m): of all steps, or of the trials' means."""
    with np.errstate(invalid="ignore"):
        if unit == "strides":
            sums, counts = (np.sum([getattr(t, name) for t in trials], axis=0) for name in ("sums", "counts"))
            return np.asarray(sums / counts)
        means = np.array([t.means for t in trials])
        finite = np.isfinite(means)
        return np.asarray(np.where(finite, means, 0.0).sum(axis=0) / finite.sum(axis=0))


def _strata(trials: list[_Trial], unit: str) -> list[FloatArray]:
    """What is resampled, apart from each other: the pairs of every trial, or all trials together; each (n, 2, m)."""
    if unit == "strides":
        return [t.pairs for t in trials if t.pairs is not None]
    return [np.array([t.means for t in trials])]


def _quantities(limbs: FloatArray, sides_known: bool) -> FloatArray:
    """The four quantities (4, ...) of limb means (2, ...)."""
    left, right = limbs
    mean = 0.5 * (left + right)
    if not sides_known:
        unknown = np.full_like(mean, np.nan)
        return np.array([mean, unknown, unknown, unknown])
    return np.array([mean, left, right, symmetry_index(left, right, "si")])


def _replicates(strata: list[FloatArray], unit: str, how: _How, role: int) -> FloatArray:
    """Limb means of every replicate (2, m, n_boot); each stratum is drawn by itself, from a stream of its own."""
    m = strata[0].shape[-1]
    sums, counts = np.zeros((2 * m, how.n_boot)), np.zeros((2 * m, how.n_boot))
    rows = [np.ascontiguousarray(values.reshape(-1, 2 * m)) for values in strata]
    everything = np.concatenate(rows)
    # Sums of deviations lose no digits to the mean.
    centre = _column_sums(everything) / np.maximum(np.isfinite(everything).sum(axis=0), 1)
    for k, values in enumerate(rows):
        n = len(values)
        length = block_length(n) if unit == "strides" else 1
        starts = block_starts(n, how.n_boot, -(-n // length), (how.seed, role, k))
        present = np.isfinite(values)
        sums += replicate_sums(np.ascontiguousarray(np.where(present, values - centre, 0.0)), length, starts)
        counts += replicate_sums(np.ascontiguousarray(present, dtype=np.float64), length, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = centre[:, None] + sums / counts
    return means.reshape(2, m, how.n_boot)


def _interval(differences: FloatArray, enough: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Ends (4, m) of the interval of replicates (4, m, n_boot), where there is enough to resample."""
    ends = [percentile_interval(part) for part in differences]
    low, high = (np.array([np.where(enough, end[k], np.nan) for end in ends]) for k in range(2))
    return low, high


def _group(changes: list[_Change], how: _How, note: str) -> _Change:
    """The mean of the subjects' values and differences, over those who have both."""
    if not changes:
        nothing, none = (
            np.full((len(QUANTITIES), len(how.metrics)), np.nan),
            np.zeros(len(how.metrics), np.int64),
        )
        return _Change(GROUP, *(nothing,) * 4, (none, none), "subjects", note)
    before, after = (np.array([getattr(c, name) for c in changes]) for name in ("before", "after"))
    both = np.isfinite(before) & np.isfinite(after)
    n = both.sum(axis=0)
    before, after = (np.where(both, values, np.nan) for values in (before, after))
    with np.errstate(invalid="ignore"):
        means = [np.where(both, values, 0.0).sum(axis=0) / n for values in (before, after)]
    low, high = (np.full_like(means[0], np.nan) for _ in range(2))
    if how.n_boot:
        starts = block_starts(len(changes), how.n_boot, len(changes), (how.seed, 2))
        # A subject without a value is drawn like the others, and counts nothing.
        flat = (after - before).reshape(len(changes), -1)
        present = np.isfinite(flat)
        sums = replicate_sums(np.ascontiguousarray(np.where(present, flat, 0.0)), 1, starts)
        counts = replicate_sums(np.ascontiguousarray(present, dtype=np.float64), 1, starts)
        with np.errstate(invalid="ignore"):
            ends = percentile_interval(sums / counts)
        low, high = (np.where(n >= MIN_PAIRS, end.reshape(n.shape), np.nan) for end in ends)
    return _Change(GROUP, means[0], means[1], low, high, (n, n), "subjects", note)


def _of_few(change: _Change, n: int, low: float) -> str:
    """What to say of a group's interval."""
    if change.subject != GROUP or n >= FEW_SUBJECTS:
        return ""
    if math.isfinite(low):
        return f"an interval of {n} subjects is too narrow"
    return f"no interval: {n} subjects have a value" if n < MIN_PAIRS else ""


def _rows(change: _Change, base: str, other: str, how: _How) -> list[_Row]:
    rows = []
    for j, metric in enumerate(how.metrics):
        for q, quantity in enumerate(QUANTITIES):
            before, difference = change.before[q, j], change.difference[q, j]
            counts = [int(n[j] if n.ndim == 1 else n[q, j]) for n in change.n]
            percent = math.nan if quantity == "si" or not before else 100.0 * difference / abs(before)
            rows.append(
                (
                    change.subject,
                    base,
                    other,
                    metric,
                    quantity,
                    "%" if quantity == "si" else _UNITS[metric],
                    before,
                    change.after[q, j],
                    difference,
                    change.low[q, j],
                    change.high[q, j],
                    percent,
                    *counts,
                    change.resampled,
                    "; ".join(filter(None, (change.note, _of_few(change, counts[0], change.low[q, j])))),
                )
            )
    return rows
