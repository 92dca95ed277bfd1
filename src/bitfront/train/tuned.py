"""What fine-tuning leaves: stored tensors and scales of inputs; and the candidate that is judged with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from bitfront.formats import Format, format
from bitfront.formats.nested import NestedScale
from bitfront.formats.scale import Constant
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment


@dataclass(frozen=True)
class Tuned:
    """`tensors` by path in the model, in float: the candidate's formats are still to be applied.

    `inputs` are the formats of the candidate's input sites, with their scales.
    """

    tensors: Mapping[str, Tensor]
    inputs: Mapping[str, Format]

    def plan(self, plan: Plan) -> Plan:
        """The plan with these tensors in the place of its own."""
        slots = {path: slot for slot, path in plan.paths.items()}
        changed = {slots[path]: tensor for path, tensor in self.tensors.items()}
        return replace(plan, stored={**plan.stored, **changed})


class TunedCandidates(Candidates):
    """The one candidate that was tuned: its inputs have the scales that it was trained with."""

    def __init__(self, plan: Plan, tuned: Tuned) -> None:
        super().__init__(plan, {}, "minmax")
        self._tuned = tuned

    def input_format(self, site: str, name: str, method: str = "") -> Format:
        """The format of an input site with the scale that it was trained with."""
        found = self._tuned.inputs[site]
        if found.name != name:
            raise KeyError(f"{site} was trained in {found.name}, not in {name}")
        return found


def outputs_of(tuned: Tuned, plan: Plan, assignment: Assignment) -> Callable[[Examples], Tensor]:
    """What gives the tuned candidate's outputs for a batch; `plan` is the float model's."""
    own = tuned.plan(plan)
    candidates = TunedCandidates(own, tuned)
    weights, quantizers = candidates.weights(assignment), candidates.quantizers(assignment)
    return lambda batch: own.run(batch.inputs, weights, quantizers)


def scale_record(format: Format) -> dict[str, Any]:
    """The scale of an input's format for JSON; empty where it follows from the name."""
    rule = format.scale
    if isinstance(rule, Constant) and rule.stored:
        return {"scale": list(rule.scale), "offset": rule.offset and list(rule.offset), "stored": rule.stored}
    if isinstance(rule, NestedScale) and rule.outer is not None:
        return {"outer": rule.outer}
    return {}


def scaled_format(name: str, record: Mapping[str, Any]) -> Format:
    """The inverse of `scale_record`."""
    plain = format(name)
    if "outer" in record and isinstance(plain.scale, NestedScale):
        return plain.with_scale(replace(plain.scale, outer=float(record["outer"])))
    if "scale" not in record:
        return plain
    offset = record["offset"]
    rule = Constant(_floats(record["scale"]), offset and _floats(offset), int(record["stored"]))
    return plain.with_scale(rule)


def _floats(numbers: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)
