"""Einsum of two factors: what its equation says of axes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from bitfront.graph.counting import Call, Counts
from bitfront.graph.operands import Operand

_PLACES = ("tensors.0", "tensors.1")


def counts_einsum(call: Call) -> bool:
    """Whether it is a product of two factors: how many multiplications more factors take isn't known."""
    return len(call.shapes) == 2


def einsum(call: Call) -> Counts:
    """One product for each combination of all labels."""
    (left, right), output = _labels(call)
    sizes = dict(zip(left, call.shapes[_PLACES[0]], strict=True))
    for label, size in zip(right, call.shapes[_PLACES[1]], strict=True):
        sizes[label] = max(size, sizes.get(label, 1))  # an axis of one is repeated
    fan_in = prod(size for label, size in sizes.items() if label not in output)
    return Counts(macs=prod(sizes.values()), fan_in=fan_in)


def einsum_operands(call: Call) -> Mapping[str, Operand]:
    """Axes that are not in the result are summed over; a channel is an axis that the result has from here."""
    terms, output = _labels(call)
    found: dict[str, Operand] = {}
    for place, role, own, other in zip(_PLACES, ("input", "other"), terms, reversed(terms), strict=True):
        channels = [axis for axis, label in enumerate(own) if label in output and label not in other]
        reduction = tuple(axis for axis, label in enumerate(own) if label not in output)
        found[place] = Operand(role, channels[-1] if channels else None, reduction, is_factor=True)
    return found


def _labels(call: Call) -> tuple[list[list[str]], list[str]]:
    """Labels of both factors and of the result; the axes of an ellipsis are numbered from the last."""
    equation = str(call.arguments["equation"]).replace(" ", "")
    given, arrow, result = equation.partition("->")
    terms = [
        _expanded(term, len(call.shapes[place]))
        for term, place in zip(given.split(","), _PLACES, strict=True)
    ]
    if arrow:
        return terms, _expanded(result, len(call.output))
    every = [label for term in terms for label in term]
    return terms, [label for label in every if not label.isalpha() or every.count(label) == 1]


def _expanded(term: str, rank: int) -> list[str]:
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return [*before, *(str(number) for number in range(hidden, 0, -1)), *after]
