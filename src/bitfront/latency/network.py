"""The captured program, call by call, with some calls replaced: what lowering and its simulator walk over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.fx import Node

from bitfront.formats.observation import Observation
from bitfront.graph.capture import Program
from bitfront.graph.nodes import is_operation, op_name
from bitfront.runtime.plan import Plan

Function = Callable[..., Any]
Quantizer = Callable[[Tensor], Tensor]


class Network:
    """The calls that the judged output depends on, in execution order.

    `stored` are the tensors of the model by the name of the placeholder that reads them.
    """

    def __init__(self, program: Program, plan: Plan) -> None:
        nodes = list(program.exported.graph.nodes)
        self.program = program
        self.graph = program.graph
        self.inputs = program.inputs
        self.output: Node = nodes[plan.output]
        self.stored: dict[str, Tensor] = {nodes[slot].name: tensor for slot, tensor in plan.stored.items()}
        self.nodes = _needed(nodes, self.output)

    @cached_property
    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """The calls that read a value, by the name of the node that makes it."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for read in node.all_input_nodes:
                found.setdefault(read.name, []).append(node)
        return {name: tuple(reading) for name, reading in found.items()}

    @cached_property
    def site_of_tensor(self) -> Mapping[str, str]:
        """The site of a stored tensor by its path in the model."""
        return {site.tensor: site.name for site in self.graph.sites if site.is_parameter}

    def quantized(self, node: Node, argument: str) -> str | None:
        """The site of the input that a call reads there; None where it has none."""
        return self.program.quantized.get((node.name, argument))

    def run(
        self,
        inputs: Sequence[Any],
        stored: Mapping[str, Any],
        functions: Mapping[str, Function],
        quantizers: Mapping[str, Quantizer],
    ) -> Any:
        """The output for a batch.

        Args:
            inputs: tensors (batch, …) in the order of the model's inputs.
            stored: a tensor for every name of `self.stored` that is read.
            functions: stand in for calls, by the name of the node; they get its (quantized) arguments.
            quantizers: act on what is read at a site, by its name.
        """
        values: dict[str, Any] = {**stored, **dict(zip(self.inputs, inputs, strict=True))}
        for node in self.nodes:
            arguments = [
                self._fill(node, place, given, values, quantizers) for place, given in _positional(node)
            ]
            keywords = {
                name: self._fill(node, name, given, values, quantizers) for name, given in node.kwargs.items()
            }
            assert callable(node.target)
            values[node.name] = functions.get(node.name, node.target)(*arguments, **keywords)
        return values[self.output.name]

    def observe(self, inputs: Sequence[Tensor], seen: Mapping[str, Observation]) -> None:
        """Show the values of some nodes, by name, to observations, for one batch of the float model."""

        def watched(node: Node) -> Function:
            def call(*arguments: Any, **keywords: Any) -> Any:
                assert callable(node.target)
                value = node.target(*arguments, **keywords)
                seen[node.name].observe(value)
                return value

            return call

        functions = {node.name: watched(node) for node in self.nodes if node.name in seen}
        self.run(inputs, self.stored, functions, {})

    def _fill(
        self,
        node: Node,
        place: str,
        given: Any,
        values: Mapping[str, Any],
        quantizers: Mapping[str, Quantizer],
    ) -> Any:
        if isinstance(given, Node):
            value = values[given.name]
            quantizer = quantizers.get(self.quantized(node, place) or "")
            return value if quantizer is None else quantizer(value)
        if isinstance(given, (list, tuple)):
            return [
                self._fill(node, f"{place}.{number}", item, values, quantizers)
                for number, item in enumerate(given)
            ]
        return given


def _needed(nodes: Sequence[Node], output: Node) -> tuple[Node, ...]:
    """The calls that the output depends on, in order."""
    wanted, queue = {output}, [output]
    while queue:
        for read in queue.pop().all_input_nodes:
            if read not in wanted:
                wanted.add(read)
                queue.append(read)
    return tuple(node for node in nodes if node in wanted and node.op == "call_function")


def _positional(node: Node) -> list[tuple[str, Any]]:
    """The arguments by position, with their names in the operator's schema."""
    schema = getattr(node.target, "_schema", None)
    names = [argument.name for argument in schema.arguments] if schema is not None else []
    return [(names[at] if at < len(names) else str(at), given) for at, given in enumerate(node.args)]


def first(value: Tensor, *others: Any, **named: Any) -> Tensor:
    """Stands in for a call that the layer before has taken over."""
    return value


def kind_of(node: Node) -> str:
    """The name of the ATen operation, empty for bookkeeping."""
    return op_name(node) if is_operation(node) else ""
