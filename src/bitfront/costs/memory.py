"""Bytes moved between memory and arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from bitfront.costs.base import Cost, Term, constant
from bitfront.costs.stored import parameter_bytes, parameter_sites, value_bytes, whole_bytes
from bitfront.graph.model import Graph, Operation, Parameter, Site, Value
from bitfront.metric import Metric

_Tensor = TypeVar("_Tensor", Value, Parameter)


def memory_traffic() -> Cost:
    """Bytes moved in one forward pass of the graph's batch: each tensor of each operation once.

    An operation reads its inputs in the formats of their sites (elements alone, their scales are constants),
    and its parameters with all that is stored for them; of an embedding, the elements of the rows that it looks
    up. It writes its outputs as the model computes them,
    since the reader is who quantizes. Each tensor is padded to whole bytes. No cache holds anything from one
    operation to the next; within one, a tensor that it is given twice is read once for each of its sites.

    Views (no arithmetic and no parameters: reshape, transpose, dropout, …) move nothing. Operations that
    bitfront can't count are no views: they move their tensors like any other.
    """
    return Cost(Metric("memory_traffic", "bytes", "min"), _terms)


def _terms(graph: Graph) -> tuple[Term, ...]:
    stored = parameter_sites(graph)
    moving = [operation for operation in graph.operations if not _is_view(operation)]
    return tuple(term for operation in moving for term in _operation_terms(graph, operation, stored))


def _is_view(operation: Operation) -> bool:
    idle = operation.macs == 0 and operation.flops == 0 and not operation.parameters
    return idle and operation.status != "unknown"


def _operation_terms(graph: Graph, operation: Operation, stored: Mapping[str, Site]) -> Iterator[Term]:
    plain = sum(whole_bytes(value.elements * value.bits) for value in _distinct(operation.outputs))
    for parameter in _distinct(operation.parameters):
        site = stored.get(parameter.name)
        if site is None:
            plain += whole_bytes(parameter.elements * parameter.bits)
        elif operation.op == "embedding":
            yield _input_term(operation.outputs[0], site)  # as many elements as it gives
        else:
            yield _parameter_term(parameter, site)
    sites = [graph.site[name] for name in dict.fromkeys(operation.sites.values())]
    for value in _distinct(operation.inputs):
        readers = [site for site in sites if not site.is_parameter and site.tensor == value.name]
        if not readers:
            plain += whole_bytes(value.elements * value.bits)
        yield from (_input_term(value, site) for site in readers)
    yield constant(plain)


def _distinct(tensors: Iterable[_Tensor]) -> Iterable[_Tensor]:
    return {tensor.name: tensor for tensor in tensors}.values()


def _parameter_term(parameter: Parameter, site: Site) -> Term:
    return Term((site.name,), lambda formats: parameter_bytes(parameter, site, formats[0]))


def _input_term(value: Value, site: Site) -> Term:
    return Term((site.name,), lambda formats: value_bytes(value, formats[0]))
