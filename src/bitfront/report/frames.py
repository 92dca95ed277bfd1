"""Tables that become a DataFrame, CSV or Parquet in one line."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitfront.errors import InputError
from bitfront.files import write_bytes_whole, write_whole

if TYPE_CHECKING:
    import pandas


class Frame(ABC):
    """What has `rows`, `columns` and `types` can be taken into a table of somebody else's."""

    __slots__ = ()

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a row; a key that doesn't apply is left out, or None."""

    @abstractmethod
    def columns(self) -> list[str]:
        """The names of the columns, in order."""

    @abstractmethod
    def types(self) -> dict[str, str]:
        """pandas types of the columns where what is in them may not show it, such as where all is missing."""

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame.

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
                {key: _plain(cell) if isinstance(cell, str) else cell for key, cell in row.items()}
            )
        write_whole(Path(path), text.getvalue())

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file. Columns have the same types whatever they hold.

        Raises:
            InputError: pandas or pyarrow is not installed.
            BitfrontError: the file can't be written; what was there before still is.
        """
        try:
            import pyarrow  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise _absent("A Parquet file", "pyarrow") from error
        frame = self.to_pandas().astype(self.types())
        data = io.BytesIO()
        frame.to_parquet(data, engine="pyarrow", index=False)
        write_bytes_whole(Path(path), data.getvalue())


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _absent(what: str, package: str) -> InputError:
    return InputError(
        f"{what} needs {package}, which is not installed: pip install 'bitfront[tables]'. "
        "`to_csv` needs nothing."
    )
