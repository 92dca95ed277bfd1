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
    """Whether nothing repeats but single characters, in few places."""
    repeats = 0
    for code, value in parsed:
        if code in _REPEATS:
            repeats += 1
            if not all(inner in _ATOMS for inner, _ in value[2]) or len(value[2]) > 1:
                return False
        elif code is codes.SUBPATTERN:
            inner = value[-1]
            if not _is_quick(inner):
                return False
            repeats += sum(code in _REPEATS for code, _ in inner)
        elif code is codes.BRANCH:
            if not all(_is_quick(branch) for branch in value[1]):
                return False
        elif code not in _ATOMS:  # references, assertions: rare, and not worth a closer look
            return False
    return repeats <= _FEW
