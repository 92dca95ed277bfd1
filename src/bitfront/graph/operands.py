"""Which tensors of a call can be given a format, and what their axes mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bitfront.graph.counting import Call, Counts, product
from bitfront.graph.model import STORED_ROLES, family


@dataclass(frozen=True)
class Operand:
    """A tensor argument that can be given a format.

    `role` names its site; `channel` is the output-channel axis it has where it is stored, and `reduction` are
    the axes summed over. An operand of a product that is stored is a weight, whatever its role would be.
    """

    role: str
    channel: int | None = None
    reduction: tuple[int, ...] = (-1,)
    is_factor: bool = False  # of a product: stored or computed

    @property
    def is_stored(self) -> bool:
        """Whether its role is that of a stored tensor."""
        return family(self.role) in STORED_ROLES

    def role_of(self, stored: bool) -> str | None:
        """The role of its site; None where it has none, since a weight is computed or an input is stored."""
        if self.is_factor:
            return "weight" if stored else self.role
        return self.role if stored == self.is_stored else None


# From argument names (`tensors.1` is an item of a list) to operands.
Operands = Callable[[Call], Mapping[str, Operand]]


def fixed(**operands: Operand) -> Operands:
    """The same for every call."""
    return lambda call: operands


def two_tensors(call: Call) -> Mapping[str, Operand]:
    """Both operands of an addition or a product, but none where one of them is a number."""
    operands = {"self": Operand("input"), "other": Operand("other")}
    return operands if all(call.shapes.get(place) for place in operands) else {}


def every_item(call: Call) -> Mapping[str, Operand]:
    """All tensors of a list share one site and so one scale, as an integer cat needs."""
    return {place: Operand("input") for place in call.shapes if place.startswith("tensors.")}


def factors(left: str, right: str, **others: Operand) -> Operands:
    """The two factors of a matrix product, given the names of their arguments."""

    def operands(call: Call) -> Mapping[str, Operand]:
        wide = len(call.shapes[right]) > 1
        return {
            left: Operand("input", -2 if len(call.shapes[left]) > 1 else None, (-1,), is_factor=True),
            right: Operand("other", -1 if wide else None, (-2 if wide else -1,), is_factor=True),
            **others,
        }

    return operands


def matrix_product(left: str) -> Callable[[Call], Counts]:
    """Counts of a matrix product whose left factor is (…, rows, products)."""
    return lambda call: product(call, call.shapes[left][-1])
