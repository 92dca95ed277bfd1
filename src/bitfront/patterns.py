"""Regular expressions of a recipe, which may take longer than the universe lasts to say that they don't match."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from re import _constants as codes  # pyright: ignore[reportAttributeAccessIssue]
from re import _parser as parser  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

SECONDS = 5.0  # for all names of a model together; an ordinary pattern takes microseconds
_ATOMS = frozenset({codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN, codes.AT})
_REPEATS = frozenset({codes.MAX_REPEAT, codes.MIN_REPEAT})
_FEW = 2  # repeats of single characters: with so many, time grows with the square of a name's length
_CHOICES = 1000  # of alternatives, which multiply: (a|b)(c|d) has four

_CODE = "import json, re, sys; p, names = json.load(sys.stdin); [re.fullmatch(p, name) for name in names]"


def check_pattern(pattern: str, names: Sequence[str]) -> None:
    r"""Find out whether a pattern can be matched against these names in reasonable time.

    Python's matcher backtracks: nested repeats such as ``(\w+\.?)+x`` take time that doubles with each character
    of a name. Patterns that may do so are tried in a process of their own, which can be ended.

    Raises:
        re.error: it is no regular expression.
        TimeoutError: it takes too long.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of brackets that may mean something else one day
            re.compile(pattern)
            quick = _is_quick(parser.parse(pattern))
    except (OverflowError, RecursionError) as error:  # of numbers and brackets beyond all bounds
        raise re.error(str(error) or type(error).__name__) from error
    if quick:
        return
    command = [sys.executable, "-I", "-S", "-c", _CODE]
    try:
        subprocess.run(
            command,
            input=json.dumps([pattern, list(names)]).encode(),
            timeout=SECONDS,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"it takes more than {SECONDS:g} seconds to match") from error


def _is_quick(parsed: Any) -> bool:
    """Whether nothing repeats but single characters, in few places of the whole pattern, with few alternatives."""
    repeats = _repeats(parsed)
    return repeats is not None and repeats <= _FEW and _choices(parsed) <= _CHOICES


def _repeats(parsed: Any) -> int | None:
    """In how many places single characters repeat, within groups and alternatives too; None for anything else."""
    total = 0
    for code, value in parsed:
        found = 0 if code in _ATOMS else None
        if code in _REPEATS:
            found = 1 if len(value[2]) == 1 and value[2][0][0] in _ATOMS else None
        elif code is codes.SUBPATTERN:
            found = _repeats(value[-1])
        elif code is codes.BRANCH:
            branches = [_repeats(branch) for branch in value[1]]
            found = None if None in branches else sum(count for count in branches if count is not None)
        if found is None:  # references, assertions: rare, and not worth a closer look
            return None
        total += found
    return total


def _choices(parsed: Any) -> int:
    """Among how many rows of alternatives the matcher may choose, in a pattern in which no group repeats."""
    total = 1
    for code, value in parsed:
        if code is codes.SUBPATTERN:
            total *= _choices(value[-1])
        elif code is codes.BRANCH:
            total *= sum(_choices(branch) for branch in value[1])
    return total
