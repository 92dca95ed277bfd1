"""The SQLite file that mirrors a run as an Optuna study: made once, then added to. The log is only read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from optuna.storages import RDBStorage

from bitfront.dashboard import tables
from bitfront.dashboard.records import (
    directions,
    distributions_of,
    frozen_trials,
    is_mark,
    marks,
    names,
    study_attributes,
)
from bitfront.dashboard.source import Source, choices_of
from bitfront.errors import BitfrontError, RunError
from bitfront.files import sync_directory
from bitfront.trial import seal, to_record

NAME = "dashboard.sqlite3"

_OURS = 0x62697466  # SQLite's application id of a mirror: "bitf"
_STATE = "bitfront:mirror"  # system attribute of the study: what the file mirrors, and how far
_VERSION = 2  # of what is written
_WAIT = 30.0  # seconds that somebody else may take to write


@dataclass(frozen=True)
class Written:
    """What was done: `added` of the `trials` are new in the file; it was `rebuilt` where there was none, or an
    old one of something else. `widened` says that trials which it had have other parameters or choices now."""

    path: Path
    trials: int
    added: int
    rebuilt: bool
    widened: bool = False


def write_mirror(source: Source, path: Path) -> Written:
    """Bring the mirror at `path` up to a run's log, or make it.

    Notes and tags that were written in the dashboard stay while trials are added. A mirror of another log, or one
    whose study was changed otherwise, is made anew.

    Raises:
        RunError: at `path` is something that bitfront didn't write.
        BitfrontError: it can't be written.
    """
    try:
        if path.exists() or path.is_symlink():
            _refuse_foreign(path)
            with _opened(path) as database:
                if (had := _add(database, source)) is not None:
                    added, widened = len(source.trials) - had, bool(_grown(source, had))
                    return Written(path, len(source.trials), added, rebuilt=False, widened=widened)
        _build(source, path)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BitfrontError(f"The mirror '{path}' can't be written: {reason}.") from error
    return Written(path, len(source.trials), len(source.trials), rebuilt=True)


def storage_of(path: Path, create: bool = False) -> RDBStorage:
    """Optuna's storage on a mirror, whatever characters its path is made of."""
    # Through a URL, a path with a question mark or braces would be taken for something else.
    connect = partial(sqlite3.connect, path, timeout=_WAIT, check_same_thread=False)
    with _quiet():
        return RDBStorage(
            "sqlite:///mirror", engine_kwargs={"creator": connect}, skip_table_creation=not create
        )


def _refuse_foreign(path: Path) -> None:
    found = None
    try:
        with closing(sqlite3.connect(path)) as database:
            (found,) = database.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError:  # no database, or a directory
        pass
    if found != _OURS:
        raise RunError(
            f"'{path}' exists and is no mirror of a run that bitfront wrote, or a damaged one. Nothing was "
            "changed. Delete it, or name another file with --export."
        )


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it is done or nothing."""
    with closing(sqlite3.connect(path, timeout=_WAIT, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _add(database: sqlite3.Connection, source: Source) -> int | None:
    """Add what is new, and return how many trials were there; None where the file mirrors something else."""
    known = database.execute(
        "SELECT study_id, value_json FROM study_system_attributes WHERE key = ?", (_STATE,)
    ).fetchall()
    if len(known) != 1:
        return None
    ((study, state),) = known
    count = json.loads(state).get("trials")
    (rows,) = database.execute("SELECT COUNT(*) FROM trials").fetchone()
    if rows != count or count > len(source.trials) or json.loads(state) != _state(source, count):
        return None
    tables.check_schema(database)
    _fill(database, source, study, count)
    return count


def _fill(database: sqlite3.Connection, source: Source, study: int, first: int) -> None:
    if first and (grown := _grown(source, first)):
        new = [site for site in grown if site not in choices_of(source.trials[:first])]
        tables.widen(database, study, distributions_of(grown), new)
    tables.insert_trials(database, study, first, frozen_trials(source, first))
    old = [name for name in tables.user_attribute_names(database) if is_mark(name)]
    tables.replace_marks(database, study, old, marks(source))
    tables.set_study_attributes(database, "study_user_attributes", study, study_attributes(source))
    state: dict[str, Any] = {_STATE: _state(source, len(source.trials))}
    tables.set_study_attributes(database, "study_system_attributes", study, state)


def _grown(source: Source, first: int) -> dict[str, tuple[str, ...]]:
    """The sites with more formats than in the first so many trials, which may be a part of the references."""
    before = choices_of(source.trials[:first])
    return {site: names for site, names in source.choices.items() if names != before.get(site)}


def _state(source: Source, count: int) -> dict[str, Any]:
    """What a mirror of the first so many trials is a mirror of."""
    objectives = source.objectives
    meaning = [source.header, repr(objectives), source.started.isoformat()]
    last = seal(to_record(source.trials[count - 1])) if count else ""
    digest = hashlib.sha256(json.dumps([meaning, last], sort_keys=True, default=list).encode()).hexdigest()
    return {"version": _VERSION, "trials": count, "run": digest[:16]}


def _build(source: Source, path: Path) -> None:
    """Make the file under another name in the same place, and rename it."""
    folder = Path(mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = folder / "partial"
    try:
        storage = storage_of(temporary, create=True)
        with _quiet():
            study = storage.create_new_study(directions(source.objectives), source.run.resolve().name)
        storage.set_study_system_attr(study, "study:metric_names", names(source.objectives))
        storage.remove_session()
        storage.engine.dispose()
        with closing(sqlite3.connect(temporary)) as database:
            tables.check_schema(database)
            database.execute("PRAGMA synchronous = OFF")  # it is synced whole, before it gets its name
            _fill(database, source, study, 0)
            database.execute(f"PRAGMA application_id = {_OURS}")
            database.commit()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's note that a study was created."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
