"""A table of a MASE recipe that knows where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

from bitfront.errors import RecipeError, suggest

Table: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A table that knows where it stands, so that an error has its line; `notes` and `ignored` are logs."""

    values: Table
    path: tuple[str, ...]
    notes: list[str]
    ignored: list[str]

    def error(self, message: str, *keys: str) -> RecipeError:
        return RecipeError(f"{'.'.join((*self.path, *keys))} {message}", (*self.path, *keys))

    def unknown(self, value: object, known: Iterable[str | bool], *keys: str) -> RecipeError:
        found = "is missing" if value is None else f"can't be {value!r}"
        return self.error(f"{found}; known are: {', '.join(map(str, known))}.", *keys)

    def at(self, key: str) -> Section:
        """The table under `key`; an absent one reads as empty."""
        values = self.values.get(key, {})
        if not isinstance(values, Mapping):
            raise self.error(f"must be a table, but is {values!r}.", key)
        return Section(values, (*self.path, key), self.notes, self.ignored)

    def ignore(self, key: str) -> None:
        shown = "" if isinstance(self.values[key], (Mapping, list)) else f" = {self.values[key]}"
        self.ignored.append(".".join((*self.path, key)) + shown)

    def remark(self, note: str) -> None:
        """Note something, once."""
        if note not in self.notes:
            self.notes.append(note)

    def check(self, read: str, unread: str = "") -> None:
        """Refuse keys that nobody knows, and log those that nothing reads."""
        for key in self.values:
            if key in unread.split():
                self.ignore(key)
            elif key not in read.split():
                raise self.error(f"is unknown; {suggest(key, f'{read} {unread}'.split())}", key)

    def choices(self, key: str, numbers: range, *words: str | bool) -> list[Any]:
        """What may be chosen under `key`: a scalar is one choice, an absent key none."""
        value = self.values.get(key, ())
        found = list(value) if isinstance(value, (list, tuple)) else [value]
        wrong = [item for item in found if item not in words and not (type(item) is int and item in numbers)]
        if wrong or value == []:
            known: list[str | bool] = [
                *words,
                *([f"whole numbers from {numbers[0]} to {numbers[-1]}"] if numbers else []),
            ]
            raise self.unknown((wrong or [value])[0], known, key)
        return found

    def word(self, key: str, known: Iterable[str | bool]) -> Any:
        value = self.values.get(key)
        if value not in (None, *known):
            raise self.unknown(value, known, key)
        return value

    def number(self, key: str, least: float, *kinds: type) -> Any:
        """The number under `key`, None where there is none."""
        value = self.values.get(key)
        if value is not None and not (type(value) in kinds and least <= value < inf):
            kind = ("number" if float in kinds else "whole number") + f" of at least {least}" * (least > -inf)
            raise self.error(f"must be a {kind}, but is {value!r}.", key)
        return value
