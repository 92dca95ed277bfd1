"""The trials of a run, and the one line that takes them into a table of somebody else's."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from bitfront.errors import InputError
from bitfront.files import write_bytes_whole, write_whole
from bitfront.metric import Failure
from bitfront.trial import Trial

if TYPE_CHECKING:
    import pandas

_SHOWN = 5  # trials at each end of what a notebook shows


class Trials(tuple[Trial, ...]):
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

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each trial.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise _absent("A DataFrame", "pandas") from error
        return pandas.DataFrame(self.rows(), columns=self.columns())

    def to_csv(self, path: str | Path) -> None:
        """Write a CSV file (RFC 4180, UTF-8); cells that don't apply are empty. Needs no other package.

        Text that a spreadsheet would take for a formula, the name of a layer such as ``=cmd``, gets an
        apostrophe in front.

        Raises:
            BitfrontError: the file can't be written; what was there before still is.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns())
        writer.writerow({name: _plain(name) for name in self.columns()})
        for row in self.rows():
            writer.writerow(
                {key: _plain(value) if isinstance(value, str) else value for key, value in row.items()}
            )
        write_whole(Path(path), text.getvalue())

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file. Columns have the same types whatever the run holds.

        Raises:
            InputError: pandas or pyarrow is not installed.
            BitfrontError: the file can't be written; what was there before still is.
        """
        try:
            import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise _absent("A Parquet file", "pyarrow") from error
        sites = {site: "string" for trial in self for site in trial.assignment.sites}
        frame = self.to_pandas().astype({"examples": "Int64", "failure": "string", **sites})
        data = io.BytesIO()
        frame.to_parquet(data, engine="pyarrow", index=False)
        write_bytes_whole(Path(path), data.getvalue())

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


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _absent(what: str, package: str) -> InputError:
    return InputError(
        f"{what} needs {package}, which is not installed: pip install 'bitfront[tables]'. "
        "`to_csv` needs nothing."
    )


def _rows(trials: Trials, columns: Sequence[str]) -> str:
    return "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(row.get(name)))}</td>" for name in columns) + "</tr>"
        for row in trials.rows()
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
