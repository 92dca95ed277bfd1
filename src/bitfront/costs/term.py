"""A term: the part of a cost that depends on the formats of a few sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bitfront.formats import Format, format

FLOAT32 = "fp32"


@dataclass(frozen=True)
class Term:
    """A function of the formats of `sites` (fp32 where a site has none). A constant has no sites."""

    sites: tuple[str, ...]
    value: Callable[[tuple[Format, ...]], float]


class Table(dict[tuple[str, ...], float]):
    """A term's value by the names of its formats; each is computed when it is first looked up."""

    def __init__(self, term: Term) -> None:
        super().__init__()
        self.sites = term.sites
        self._value = term.value

    def __missing__(self, names: tuple[str, ...]) -> float:
        value = self[names] = self._value(tuple(format(name) for name in names))
        return value


def constant(value: float) -> Term:
    """A term that is the same for all assignments."""
    return Term((), lambda formats: value)
