"""Sites that hardware wants in one format: found in the dataflow, not by the names of layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations

from bitfront.graph.model import Graph, Operation

Group = tuple[str, ...]

_PROJECTIONS = ("linear", "matmul", "einsum", "conv1d")
# What gives on what it was given, perhaps in another place or type.
_PASS_ON = ("dropout", "to", "_to_copy", "contiguous", "clone", "detach", "alias", "identity")


def tied_sites(graph: Graph, preset: str) -> list[Group]:
    """Groups of sites that share a choice under a preset; KeyError where there is no such preset."""
    return [tuple(dict.fromkeys(group)) for group in PRESETS[preset](graph) if len(set(group)) > 1]


def _qkv(graph: Graph) -> list[Group]:
    """Projections of one value that meet in the products of an attention, role by role."""
    flow = _Flow(graph)
    return _by_role(
        [layer for layer in layers if any(_multiplies_values(o) for o in flow.reached(layer))]
        for layers in flow.projections()
    )


def _gate_up(graph: Graph) -> list[Group]:
    """Two projections of one value, one of which is multiplied by the other, element by element."""
    flow = _Flow(graph)
    products = [[v.name for v in o.inputs] for o in graph.operations if o.op == "mul" and len(o.inputs) == 2]
    pairs: list[list[Operation]] = []
    for layers in flow.projections():
        for gate, up in combinations(layers, 2):
            only_gate = flow.values(gate) - flow.values(up)
            only_up = flow.values(up) - flow.values(gate)
            if any(
                (a in only_gate and b in only_up) or (a in only_up and b in only_gate) for a, b in products
            ):
                pairs.append([gate, up])
    return _by_role(pairs)


def _residual(graph: Graph) -> list[Group]:
    """The operands of an addition. (Those of a cat are one site.)"""
    return [tuple(operation.sites.values()) for operation in graph.operations if operation.op == "add"]


PRESETS: Mapping[str, Callable[[Graph], list[Group]]] = {
    "qkv": _qkv,
    "gate_up": _gate_up,
    "residual": _residual,
}


def _multiplies_values(operation: Operation) -> bool:
    return operation.macs > 0 and {"input", "other"} <= operation.sites.keys()


def _by_role(groups: Iterable[list[Operation]]) -> list[Group]:
    return [
        tuple(layer.sites[role] for layer in layers if role in layer.sites)
        for layers in groups
        for role in dict.fromkeys(role for layer in layers for role in layer.sites)
    ]


class _Flow:
    """Who reads what."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers: dict[str, list[Operation]] = defaultdict(list)
        self._origin: dict[str, str] = {}  # a value that was only passed on -> the value it is
        for operation in graph.operations:
            for value in operation.inputs:
                self._readers[value.name].append(operation)
            if operation.op in _PASS_ON and len(operation.inputs) == 1:
                source = operation.inputs[0].name
                self._origin[operation.outputs[0].name] = self._origin.get(source, source)

    def projections(self) -> list[list[Operation]]:
        """Layers with weights that read the same value, by value."""
        found: dict[str, list[Operation]] = defaultdict(list)
        for operation in self._graph.operations:
            if operation.op in _PROJECTIONS and {"input", "weight"} <= operation.sites.keys():
                read = operation.inputs[0].name
                found[self._origin.get(read, read)].append(operation)
        return [layers for layers in found.values() if len(layers) > 1]

    def reached(self, layer: Operation) -> list[Operation]:
        """The operations that what the layer gives comes to, up to the next sums of products."""
        found: dict[str, Operation] = {}
        ahead = [value.name for value in layer.outputs]
        while ahead:
            for operation in self._readers[ahead.pop()]:
                if operation.name not in found:
                    found[operation.name] = operation
                    ahead += [] if operation.macs else [value.name for value in operation.outputs]
        return list(found.values())

    def values(self, layer: Operation) -> set[str]:
        """What the layer gives, and what is made of that before the next sums of products."""
        makers = [layer, *(operation for operation in self.reached(layer) if not operation.macs)]
        return {value.name for operation in makers for value in operation.outputs}
