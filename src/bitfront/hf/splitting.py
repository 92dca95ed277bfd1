"""What both kinds of text data share: files that are read whole, and the shares of the splits."""

from __future__ import annotations

from pathlib import Path

from bitfront.errors import DataError

_SHARES = {"calibration": 0.2, "search": 0.4, "test": 0.4}

FEWEST = len(_SHARES)


def read_file(path: str) -> str:
    """The text of a UTF-8 file."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"'{path}' is not UTF-8 text.") from error
    except OSError as error:
        raise DataError(f"'{path}' can't be read: {error.strerror}.") from error


def parts(count: int) -> dict[str, slice]:
    """Which of `count` examples go to which split: a fifth, two fifths, two fifths; at least one to each."""
    calibration = max(1, round(count * _SHARES["calibration"]))
    search = calibration + max(1, (count - calibration) // 2)
    return {
        "calibration": slice(0, calibration),
        "search": slice(calibration, search),
        "test": slice(search, count),
    }


def check_length(length: int, fewest: int) -> None:
    """DataError unless the sequences are long enough."""
    if length < fewest:
        raise DataError(f"length >= {fewest} must hold, but got length = {length}.")
