"""What `inspect` tells of a model and its space, as one JSON document."""

from __future__ import annotations

from typing import Any

from bitfront.graph.model import Graph, Operation
from bitfront.space import Space


def inspection(graph: Graph, space: Space) -> dict[str, Any]:
    """Layers with their counts and choices, totals, and the size of the space."""
    offered = {site: list(v.formats) for v in space.variables for site in v.sites}
    layers = [_layer(operation, offered) for operation in graph.operations]
    keys = ("weight_elements", "bias_elements", "macs", "flops", "backward_flops")
    totals = {key: sum(layer[key] for layer in layers) for key in keys}
    # A tensor that several layers share is one parameter of the model.
    totals["parameters"] = sum(p.elements for p in graph.parameters if p.trained)
    return {
        "model": graph.model,
        "batch_size": graph.batch_size,
        "layers": layers,
        "totals": totals,
        "space": {"sites": len(space.sites), "variables": len(space.variables), "size": space.size},
    }


def _layer(operation: Operation, offered: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "name": operation.name,
        "op": operation.op,
        "status": operation.status,
        "parameters": operation.parameter_elements(),
        "weight_elements": operation.parameter_elements("weight"),
        "bias_elements": operation.parameter_elements("bias"),
        "macs": operation.macs,
        "flops": operation.macs + operation.flops,
        "backward_flops": 2 * operation.macs + operation.backward_flops,
        "input_elements": operation.input_elements,
        "output_elements": operation.output_elements,
        "sites": {role: offered.get(site, []) for role, site in operation.sites.items()},
    }
