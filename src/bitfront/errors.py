"""Everything bitfront raises on purpose, in one tree.

    BitfrontError
    ├── InputError          the user's input is wrong: exit status 2
    │   ├── RecipeError     a recipe says something that can't be meant
    │   ├── FormatError     a format name that means nothing, or one that a site can't take
    │   ├── ModelError      a model that can't be captured, or weights that don't fit it
    │   ├── DataError       data that is missing, empty or of the wrong shape
    │   └── RunError        a run directory that is locked, damaged or of another recipe
    │       └── ReplayError a strategy no longer proposes what the log holds
    └── (itself)            the machine is at fault, such as a disk that is full: exit status 1

Messages are for people: one paragraph that says what is wrong, where, what was expected, and the nearest
right spelling where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BitfrontError(Exception):
    """Root of the tree."""


class InputError(BitfrontError):
    """The user's input is wrong; nothing was written.

    `path` is the key of a recipe that is at fault, where there is one: keys and indexes such as
    ``("space", 0, "weight")``. `where` is its file and line, once they are known; the message starts so.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = (), where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.path = path
        self.where = where


class RecipeError(InputError):
    """A recipe says something that can't be meant; see its `path`."""


class FormatError(InputError):
    """A format name means nothing, or the format can't be used there."""


class ModelError(InputError):
    """A model can't be captured, or its weights don't fit."""


class DataError(InputError):
    """Data is missing, empty, of the wrong shape or out of range."""


class RunError(InputError):
    """A run directory is locked, damaged, or belongs to another recipe."""


class ReplayError(RunError):
    """A strategy proposes something else than the log holds: its settings, its version or the log changed."""


def suggest(wrong: str, known: Iterable[str]) -> str:
    """A sentence fragment that names the nearest known spelling, or lists all when none is near.

    >>> suggest("acuracy", ["accuracy", "loss"])
    "did you mean 'accuracy'?"
    >>> suggest("zzz", ["accuracy", "loss"])
    'known are: accuracy, loss'
    """
    names = sorted(set(known))
    near = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if not near:  # a difference in case alone is the commonest slip
        near = [name for name in names if name.lower() == wrong.lower()][:1]
    return f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(names)}"


def reason_of(error: BaseException) -> str:
    """The kind and words of an error that other people's code raised."""
    said = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
