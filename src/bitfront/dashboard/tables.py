"""Optuna's tables in SQLite, filled many rows at a time.

Through Optuna's own storage each trial is a transaction of its own: 10,000 trials take minutes. The tables are made
by Optuna, and only rows are inserted here. They mean what schema version 12 of `optuna.storages.RDBStorage` means,
and no other version is written.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from bitfront.errors import BitfrontError

_SCHEMA = 12
_STRETCH = 1000  # trials whose rows are held in memory at a time

_INSERT = {
    "trials": (
        "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
        "VALUES (?, ?, ?, ?, ?, ?)"
    ),
    "params": (
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)"
    ),
    "values": "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, ?)",
    "user": "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
    "system": "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
}


def check_schema(database: sqlite3.Connection) -> None:
    """BitfrontError where Optuna made tables of a version that isn't known here."""
    (version,) = database.execute("SELECT schema_version FROM version_info").fetchone()
    if version != _SCHEMA:
        raise BitfrontError(
            f"The installed Optuna keeps studies in tables of version {version}, and this bitfront writes version "
            f"{_SCHEMA}: pip install 'optuna>=5.0,<6', or a newer bitfront."
        )


def insert_trials(
    database: sqlite3.Connection, study: int, first: int, trials: Iterable[FrozenTrial]
) -> None:
    """Add trials numbered from `first` on to a study; the caller commits."""
    (last,) = database.execute("SELECT COALESCE(MAX(trial_id), 0) FROM trials").fetchone()
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERT}
    for place, trial in enumerate(trials):
        _rows(rows, last + 1 + place, first + place, study, trial)
        if len(rows["trials"]) == _STRETCH:
            _flush(database, rows)
    _flush(database, rows)


def widen(
    database: sqlite3.Connection,
    study: int,
    distributions: Mapping[str, BaseDistribution],
    new: Iterable[str],
) -> None:
    """Let the trials of a study have these distributions, which begin with the choices that they have now.

    What a trial chose is stored as the place among the choices, and stays. Of parameters that are `new` the trials
    get the first choice.
    """
    ids = [key for (key,) in database.execute("SELECT trial_id FROM trials WHERE study_id = ?", (study,))]
    for name in new:
        rows = [(key, name, 0.0, "") for key in ids]
        database.executemany(_INSERT["params"], rows)
    database.executemany(
        "UPDATE trial_params SET distribution_json = ? WHERE param_name = ?",
        [(_distribution(distribution), name) for name, distribution in distributions.items()],
    )


def _flush(database: sqlite3.Connection, rows: Mapping[str, list[tuple[Any, ...]]]) -> None:
    for table, given in rows.items():
        database.executemany(_INSERT[table], given)
        given.clear()


def _rows(
    rows: Mapping[str, list[tuple[Any, ...]]], key: int, number: int, study: int, trial: FrozenTrial
) -> None:
    assert trial.datetime_start is not None  # finished trials have both
    assert trial.datetime_complete is not None
    times = (_utc(trial.datetime_start), _utc(trial.datetime_complete))
    rows["trials"].append((key, number, study, trial.state.name, *times))
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        stored = (distribution.to_internal_repr(value), _distribution(distribution))
        rows["params"].append((key, name, *stored))
    for objective, value in enumerate(trial.values or ()):
        rows["values"].append((key, objective, *_stored(value)))
    rows["user"].extend(_attributes(key, trial.user_attrs))
    rows["system"].extend(_attributes(key, trial.system_attrs))


@cache
def _distribution(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)


def _stored(value: float) -> tuple[float | None, str]:
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


def _attributes(key: int, attributes: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    for name, value in attributes.items():
        yield key, name, json.dumps(value)


def _utc(local: datetime) -> str:
    """A local time as SQLAlchemy writes it: in UTC, without the zone."""
    return f"{local.astimezone(UTC).replace(tzinfo=None):%Y-%m-%d %H:%M:%S.%f}"


def replace_marks(
    database: sqlite3.Connection, study: int, old: Iterable[str], marks: Mapping[int, Mapping[str, Any]]
) -> None:
    """Give trials (by number) these user attributes, and take those with the names `old` from all others."""
    ids = dict(database.execute("SELECT number, trial_id FROM trials WHERE study_id = ?", (study,)))
    database.executemany("DELETE FROM trial_user_attributes WHERE key = ?", [(name,) for name in old])
    for number, attributes in marks.items():
        database.executemany(_INSERT["user"], list(_attributes(ids[number], attributes)))


def user_attribute_names(database: sqlite3.Connection) -> list[str]:
    """The names of all user attributes of trials."""
    return [name for (name,) in database.execute("SELECT DISTINCT key FROM trial_user_attributes")]


def set_study_attributes(
    database: sqlite3.Connection, table: str, study: int, attributes: Mapping[str, Any]
) -> None:
    """Set attributes of a study; `table` is study_user_attributes or study_system_attributes."""
    database.executemany(
        f"INSERT INTO {table} (study_id, key, value_json) VALUES (?, ?, ?) "
        "ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json",
        [(study, name, json.dumps(value)) for name, value in attributes.items()],
    )
