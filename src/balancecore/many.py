"""Many trials at once: `analyze_many` runs them through processes, an executor or a Dask cluster.

Every trial is analysed by itself, so that the tables hold the same bits however many workers there are and in
whichever order they finish. A trial that can't be analysed is a row with the reason, and so is one that takes its
worker down.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from balancecore._version import __version__
from balancecore.errors import BalanceCoreError, DataError, MissingExtraError
from balancecore.gait import Options
from balancecore.io._read import make_options
from balancecore.io._write import chosen_format
from balancecore.parts import FACTS, METRIC_COLUMNS, Outcome, Parts, failed, work
from balancecore.progress import Progress
from balancecore.schema import COLUMNS, Column
from balancecore.subjects import (
    PARTS_ENDING,
    READING,
    Settings,
    TrialSpec,
    of_folder,
    of_table,
    tables_of,
    typed_column,
)
from balancecore.tidy import TidyTable

__all__ = ["BatchResult", "analyze_many", "output_paths"]

#: Trials that wait in an executor whose size is not known.
_AHEAD = 256
_DIED = "WorkerDied"
_WHY_DIED = "the worker that had this file died (a crash in a library, or out of memory)"
_NOT_TRIED = "RowError"
_HEAD = (
    Column("trial", "", "int64", "number of the trial, in the order of the table or of the files' names"),
    Column("file", "", "str", "files of the trial below the batch's folder, joined by ';'"),
)
_STATUS = (
    Column("status", "", "str", "ok or error"),
    Column("error_type", "", "str", "type of the error, RowError for a bad row, WorkerDied for a crash"),
    Column("error", "", "str", "why the trial was not analysed"),
)
_STEP = Column("step", "", "int64", "number of the contact in its trial, from 0")


@dataclass(frozen=True, eq=False)
class BatchResult:
    """What `analyze_many` found.

    Attributes
    ----------
    trials : TidyTable
        A row a trial: number, files, what the table of subjects says, ``status`` ("ok" or "error") and the reason,
        facts of the record, and for every metric the means, SDs and counts of the limbs and their symmetry.
    steps : TidyTable
        A row a contact: number of the trial, its labels, and the columns of the step table.
    resumed : int
        Trials taken from an earlier, stopped run.
    not_tried : tuple of str
        Files of the folder with endings that no recording has.
    """

    trials: TidyTable
    steps: TidyTable
    resumed: int
    not_tried: tuple[str, ...]

    def __repr__(self) -> str:
        ok = int((self.trials["status"] == "ok").sum())
        return f"<BatchResult: {ok} of {len(self.trials)} trials analysed, {len(self.steps)} contacts>"


def output_paths(out: str | os.PathLike[str]) -> tuple[Path, Path, Path, Path]:
    """The tables of trials, steps and conditions, and the folder of single results, for ``out="results.parquet"``."""
    trials, steps, conditions = tables_of(Path(out))
    return trials, steps, conditions, trials.with_name(trials.name + PARTS_ENDING)


def analyze_many(
    folder_or_table: Any,
    out: str | os.PathLike[str] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    executor: Executor | Any | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    restart: bool = False,
    replace: bool = False,
    progress: bool = False,
    **options: Unpack[Settings],
) -> BatchResult:
    """Analyse every recording of a folder, or every row of a table of subjects.

    Parameters
    ----------
    folder_or_table : path, DataFrame, Arrow table or list of mappings
        A folder: every file below it whose ending a recording may have is a trial; ``NAME_f_1.tsv`` and
        ``NAME_f_2.tsv`` (or ``.csv``), as QTM exports the plates of a measurement, are one. Or a table (CSV, Parquet
        or in memory) with a row a trial: column ``file`` (several files of one trial joined by ``;``), columns with
        names of options below, which go over `options` for that row (empty: not given; ``off`` for no filter), and
        labels such as ``subject`` and ``condition``, which are kept.
    out : path, optional
        Write the tables to this new file (a row a trial) and to ``NAME_steps`` beside it (a row a contact); CSV or
        Parquet (extra ``tables``) by the ending. Results of single trials are kept in ``OUT.parts`` meanwhile and
        afterwards: the same call goes on where a stopped one was, and only works on what is new or has changed
        (file contents, options, version). That folder may be deleted at any time.
    folder : path, optional
        Where the files of a table are; default: beside the table's file, else the current folder.
    executor : concurrent.futures.Executor, optional
        Runs the work instead of processes of our own; a ``distributed.Client`` will do. It is not shut down.
    scheduler : str, optional
        Address of a Dask scheduler (extra ``dask``); its workers need balancecore and must find the files under
        the same paths.
    workers : int, optional
        Processes; default: one a core. They are started afresh (spawn), so a script that calls this needs
        ``if __name__ == "__main__":``.
    restart : bool
        Forget the results of a stopped run.
    replace : bool
        Take the place of tables that exist.
    progress : bool
        Say on stderr how far it is: a bar where rich is installed, else lines.
    **options
        Of :func:`balancecore.read` and :func:`balancecore.analyze_gait`, for all trials.

    Returns
    -------
    BatchResult
        The same rows whatever runs them. A trial that can't be read or analysed has ``status`` "error" and the
        reason; one whose worker died is tried once more alone first.

    Raises
    ------
    DataError
        No trials, a bad table or option, or an output that exists or can't be written.
    MissingExtraError
        Parquet or Dask without their packages.
    BalanceCoreError
        Workers that don't start, or an executor that broke; what was done is kept if `out` was given.

    Examples
    --------
    >>> import balancecore as bc, concurrent.futures, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
    ...     for k in range(2):
    ...         bc.write(bc.simulate.treadmill(n_steps=12, seed=k).trial, pathlib.Path(folder) / f"run{k}.csv")
    ...     rows = [{"file": f"run{k}.csv", "subject": "a", "cue": k} for k in range(2)]
    ...     found = bc.analyze_many(rows, folder=folder, executor=pool, n_boot=0)
    >>> found
    <BatchResult: 2 of 2 trials analysed, 24 contacts>
    """
    if executor is not None and scheduler is not None:
        raise DataError("give an executor or a scheduler, not both")
    outputs = None if out is None else output_paths(out)
    if outputs is not None:
        _check_outputs(outputs[:2], replace)
    specs, others = _specs(folder_or_table, folder, outputs)
    common = _common(options)
    columns = _cell_columns(specs)
    parts = None if outputs is None else Parts(outputs[3], restart)
    outcomes, resumed = _outcomes(specs, common, parts, executor, scheduler, workers, progress)
    result = BatchResult(
        _trials(specs, columns, outcomes), _steps(specs, columns, outcomes), resumed, tuple(others)
    )
    if outputs is not None:
        asked = {"options": common, "trials": len(specs)}
        for table, path in zip((result.trials, result.steps), outputs[:2], strict=True):
            table.save(path, provenance=asked, replace=replace)
    return result


def _check_outputs(paths: Sequence[Path], replace: bool) -> None:
    """Find out before the work, not after it."""
    if chosen_format(paths[0], None, ("csv", "parquet")) == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(
                "writing Parquet needs pyarrow: pip install 'balancecore[tables]'"
            ) from error
    for path in paths:
        if os.path.lexists(path) and not replace:
            raise DataError(f"{path.name}: the file exists already; nothing was written to it")
        if not path.parent.is_dir():
            raise DataError(f"{path.name}: the folder that it should go to is not there")


def _specs(
    given: Any, folder: str | os.PathLike[str] | None, outputs: Sequence[Path] | None
) -> tuple[list[TrialSpec], list[str]]:
    if isinstance(given, (str, os.PathLike)) and os.path.isdir(given):
        if folder is not None:
            raise DataError("folder= is for a table of subjects; the first argument is a folder already")
        specs, others = of_folder(Path(given), outputs or ())
        if not specs:
            raise DataError(
                f"{Path(given).name or 'the folder'}: no file with an ending that recordings have"
            )
        return specs, others
    where = None if folder is None else Path(folder)
    if where is not None and not where.is_dir():
        raise DataError(f"{where.name}: there is no such folder")
    return of_table(given, where), []


def _common(options: Settings) -> dict[str, Any]:
    """The options for all trials as plain values, checked before any work."""
    plain: dict[str, Any] = dict(options)
    unknown = sorted(set(plain) - set(Settings.__annotations__))
    if unknown:
        raise DataError(f"{', '.join(unknown)}: no such option of a batch")
    try:
        plain = json.loads(json.dumps(plain, allow_nan=False, default=_listed))
    except (TypeError, ValueError) as error:
        raise DataError(
            "options of a batch must be plain values: numbers, text, lists and mappings"
        ) from error
    reading = {name: value for name, value in plain.items() if name in READING}
    reading.pop("sides", None)
    make_options(**reading)
    Options(**{name: value for name, value in plain.items() if name not in READING})
    return plain


def _listed(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if hasattr(value, "items"):
        return dict(value)
    raise TypeError


# -------------------------------------------------------------------------------------------------- the work


def _outcomes(
    specs: list[TrialSpec],
    common: dict[str, Any],
    parts: Parts | None,
    executor: Executor | Any | None,
    scheduler: str | None,
    workers: int | None,
    progress: bool,
) -> tuple[list[Outcome], int]:
    """One outcome a trial, in their order, and how many were there already."""
    done: dict[int, Outcome] = {}
    jobs: list[_Job] = []
    resumed = 0
    with ExitStack() as stack:
        said = stack.enter_context(Progress(len(specs), "trials", progress))
        for k, spec in enumerate(specs):
            settings = json.dumps(common | spec.settings, sort_keys=True)
            known = parts.find(spec.paths, settings) if parts is not None and parts.any else None
            if spec.error:
                known = failed(_NOT_TRIED, spec.error)
            elif known is not None:
                resumed += 1
            if known is None:
                jobs.append(_Job(k, spec.paths, settings))
            else:
                done[k] = known
                said.one_done(bool(known.error_type))
        if jobs:
            crew = stack.enter_context(_crew(executor, scheduler, workers, len(jobs)))
            for job, outcome in _run(jobs, crew):
                done[job.number] = outcome
                if parts is not None:
                    parts.keep(job.paths, job.settings, outcome)
                said.one_done(bool(outcome.error_type))
    return [done[k] for k in range(len(specs))], resumed


@dataclass(frozen=True)
class _Job:
    number: int
    paths: tuple[str, ...]
    settings: str


class _Crew:
    """An executor that someone else made; it can't be replaced when it breaks."""

    width = _AHEAD

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        """Leave the executor to its owner."""

    def submit(self, job: _Job) -> Future[bytes]:
        future: Future[bytes] = self._executor.submit(work, job.paths, job.settings)
        return future

    def renew(self, alone: bool = False) -> None:
        """Replace an executor that broke, if that is possible."""
        raise BalanceCoreError("the executor broke: give another one, and the batch goes on where it was")


class _Cluster(_Crew):
    """A Dask cluster: it replaces its workers, and gives a task up only after several of them died."""

    def __init__(self, client: Any, close: bool) -> None:
        # Not pure: a result must not be taken from another batch of the same files.
        super().__init__(client.get_executor(pure=False))
        self._client, self._close = client, close

    def __exit__(self, kind: object = None, *_: object) -> None:
        if self._close:
            self._client.close()

    def renew(self, alone: bool = False) -> None:
        """The cluster has done so."""


class _Pool(_Crew):
    """Processes of our own; a new pool takes the place of one that a crash broke."""

    def __init__(self, workers: int) -> None:
        super().__init__(None)
        self._workers, self._proved = workers, False
        # One more than can run, so that a worker never waits; few, because a crash makes all of them suspects.
        self.width = 2 * workers

    def submit(self, job: _Job) -> Future[bytes]:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=_begin_worker
            )
        if not self._proved:
            self._prove()
        return super().submit(job)

    def _prove(self) -> None:
        """Tell processes that never start from those that a file takes down."""
        try:
            self._executor.submit(int).result()
        except BrokenExecutor as error:
            raise BalanceCoreError(
                "worker processes don't start: a script that runs a batch needs 'if __name__ == \"__main__\":' "
                "around what it does"
            ) from error
        self._proved = True

    def __exit__(self, kind: object = None, *_: object) -> None:
        self._stop()

    def renew(self, alone: bool = False) -> None:
        self._stop()
        if alone:
            self._workers = self.width = 1

    def _stop(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and don't outlive it: a worker would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _crew(executor: Any | None, scheduler: str | None, workers: int | None, jobs: int) -> _Crew:
    if scheduler is not None:
        return _Cluster(_client(scheduler), close=True)
    if executor is not None:
        return _Cluster(executor, close=False) if hasattr(executor, "get_executor") else _Crew(executor)
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1024:
        raise DataError(f"workers={workers!r}: a whole number from 1 to 1024 is wanted")
    return _Pool(min(workers, jobs))


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("a scheduler needs Dask: pip install 'balancecore[dask]'") from error
    try:
        return Client(address, set_as_default=False, timeout="30s")
    except (OSError, TimeoutError, ValueError) as error:
        raise DataError(f"scheduler {address}: no Dask scheduler answers there") from error


def _run(jobs: list[_Job], crew: _Crew) -> Iterator[tuple[_Job, Outcome]]:
    """Outcomes as they come; those of a broken worker are tried again, one at a time, at the end."""
    waiting, running, suspects = deque(jobs), dict[Future[bytes], _Job](), list[_Job]()
    try:
        while waiting or running:
            broken = False
            while waiting and len(running) < crew.width and not broken:
                broken = not _submitted(waiting, running, crew)
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                job = running.pop(future)
                outcome = _outcome(future)
                if outcome is None:
                    suspects.append(job)
                    broken = broken or isinstance(future.exception(), BrokenExecutor)
                else:
                    yield job, outcome
            if broken:
                suspects += running.values()
                running.clear()
                crew.renew()
    finally:
        for future in running:
            future.cancel()
    yield from _one_by_one(suspects, crew)


def _one_by_one(suspects: list[_Job], crew: _Crew) -> Iterator[tuple[_Job, Outcome]]:
    """Whoever was at work beside a crash may have caused it: alone, a trial can only harm itself."""
    if suspects:
        crew.renew(alone=True)
    for job in sorted(suspects, key=lambda job: job.number):
        future = crew.submit(job)
        outcome = _outcome(future)
        if outcome is None and isinstance(future.exception(), BrokenExecutor):
            crew.renew(alone=True)
        yield job, outcome or failed(_DIED, _WHY_DIED)


def _submitted(waiting: deque[_Job], running: dict[Future[bytes], _Job], crew: _Crew) -> bool:
    """Hand one job over; not if the executor broke meanwhile."""
    try:
        running[crew.submit(waiting[0])] = waiting[0]
    except BrokenExecutor:
        return False
    waiting.popleft()
    return True


def _outcome(future: Future[bytes]) -> Outcome | None:
    """What came back, or None if the worker died; `work` itself raises nothing."""
    try:
        return Outcome.from_bytes(future.result())
    except BrokenExecutor:
        return None
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask's name for it
            return None
        raise BalanceCoreError(
            f"the executor can't run a trial: {type(error).__name__}: {str(error)[:300]}"
        ) from error


# ------------------------------------------------------------------------------------------------- the tables


def _cell_columns(specs: list[TrialSpec]) -> tuple[Column, ...]:
    """Columns of the table of subjects, in their order."""
    names = dict.fromkeys(name for spec in specs for name in spec.cells)
    own = {c.id for c in (*_HEAD, *_STATUS, _STEP, *FACTS, *METRIC_COLUMNS, *COLUMNS)}
    clash = sorted(own & names.keys())
    if clash:
        raise DataError(
            f"the table of subjects has a column {clash[0]!r}, which the results have too: rename it"
        )
    return tuple(Column(name, "", "str", "as in the table of subjects") for name in names)


def _heads(specs: list[TrialSpec], columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    heads = {
        "trial": np.arange(len(specs)),
        "file": np.array([";".join(spec.names) for spec in specs], dtype=np.str_),
    }
    return heads | {c.id: typed_column([spec.cells.get(c.id) for spec in specs]) for c in columns}


def _trials(specs: list[TrialSpec], columns: Sequence[Column], outcomes: list[Outcome]) -> TidyTable:
    data = _heads(specs, columns)
    texts = {
        "status": ["error" if o.error_type else "ok" for o in outcomes],
        "error_type": [o.error_type for o in outcomes],
        "error": [o.error for o in outcomes],
    }
    for c in FACTS:
        if c.dtype == "str":
            texts[c.id] = [o.facts.get(c.id) or "" for o in outcomes]
    data |= {name: np.array(values, dtype=np.str_) for name, values in texts.items()}
    version = Column("balancecore", "", "str", "version that analysed the trial")
    data[version.id] = np.array([__version__] * len(specs), dtype=np.str_)
    for c in (*FACTS, *METRIC_COLUMNS):
        if c.dtype == "float64":
            data[c.id] = np.array([o.facts.get(c.id) for o in outcomes], dtype=np.float64)
    return TidyTable((*_HEAD, *columns, *_STATUS, version, *FACTS, *METRIC_COLUMNS), data)


def _steps(specs: list[TrialSpec], columns: Sequence[Column], outcomes: list[Outcome]) -> TidyTable:
    counts = [len(o.steps["t_on"]) if o.steps else 0 for o in outcomes]
    of_trial = np.repeat(np.arange(len(specs)), counts)
    data = {name: values[of_trial] for name, values in _heads(specs, columns).items()}
    data[_STEP.id] = np.concatenate([np.arange(n) for n in counts])
    for c in COLUMNS:
        data[c.id] = np.concatenate(
            [np.empty(0, c.dtype), *(o.steps[c.id].astype(c.dtype) for o in outcomes if o.steps)]
        )
    return TidyTable((*_HEAD, *columns, _STEP, *COLUMNS), data)
