"""The trials of a run, as a sequence and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, SupportsIndex, overload

from bitfront.metric import Failure
from bitfront.report.frames import Frame
from bitfront.trial import Trial

_SHOWN = 5  # trials at each end of what a notebook shows


class Trials(Frame, tuple[Trial, ...]):
    """An immutable sequence of trials that knows how to become a table.

    A row is a trial: `number`, `batch`, its metrics, `seconds`, `examples`, `failure`, then a column per site
    with the format's name. `examples` is how many a candidate was judged on that racing dropped, missing where it
    was all; `failure` is the reason, missing where it was measured. The float model has no formats.

    >>> from bitfront.metric import Measurement
    >>> from bitfront.space import FLOAT
    >>> Trials([Trial(0, 0, FLOAT, Measurement({"size": 12.0}))])
    <1 trial, 0 failed>
    """

    __slots__ = ()

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a trial; a key that doesn't apply is left out, or None."""
        return [
            {"number": trial.number, "batch": trial.batch, **trial.values, "seconds": trial.outcome.seconds}
            | {"examples": trial.examples, "failure": _reason(trial)}
            | dict(trial.assignment)
            for trial in self
        ]

    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        metrics = dict.fromkeys(name for trial in self for name in trial.values)
        sites = dict.fromkeys(site for trial in self for site in trial.assignment.sites)
        return list(dict.fromkeys(("number", "batch", *metrics, "seconds", "examples", "failure", *sites)))

    def types(self) -> dict[str, str]:
        """pandas types of columns that may hold nothing but what is missing."""
        sites = {site: "string" for trial in self for site in trial.assignment.sites}
        return {"examples": "Int64", "failure": "string", **sites}

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Trial: ...
    @overload
    def __getitem__(self, key: slice, /) -> Trials: ...
    def __getitem__(self, key: SupportsIndex | slice, /) -> Trial | Trials:
        found = super().__getitem__(key)
        return found if isinstance(found, Trial) else Trials(found)

    def __repr__(self) -> str:
        failed = sum(trial.failed for trial in self)
        return f"<{len(self):,} trial{'s' * (len(self) != 1)}, {failed:,} failed>"

    def _repr_html_(self) -> str:
        """The first and the last trials, for notebooks."""
        columns = self.columns()
        if len(self) <= 2 * _SHOWN + 1:
            body = _rows(self, columns)
        else:
            gap = f"<tr><td colspan={len(columns)}>… {len(self) - 2 * _SHOWN:,} more …</td></tr>"
            body = _rows(self[:_SHOWN], columns) + gap + _rows(self[-_SHOWN:], columns)
        heads = "".join(f"<th>{escape(name)}</th>" for name in columns)
        return (
            f"<div style='overflow-x:auto'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
            f"</div><p>{escape(repr(self)[1:-1])}</p>"
        )


def _reason(trial: Trial) -> str | None:
    return trial.outcome.reason if isinstance(trial.outcome, Failure) else None


def _rows(trials: Trials, columns: Sequence[str]) -> str:
    return "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in trials.rows()
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
