"""Bytes of the stored model."""

from __future__ import annotations

from bitfront.costs.base import Cost, Term, constant
from bitfront.costs.stored import parameter_bytes, parameter_sites, whole_bytes
from bitfront.graph.model import Graph, Parameter, Site
from bitfront.metric import Metric


def size() -> Cost:
    """Bytes of every parameter and buffer that the graph lists, each tensor padded to whole bytes.

    Elements, scales, zero points, padding of groups, biases and norm statistics count; a shared tensor counts
    once. A tensor without a site, or whose site is left in fp32, has the bits it has in the model.
    """
    return Cost(Metric("size", "bytes", "min"), _terms)


def _terms(graph: Graph) -> tuple[Term, ...]:
    sites = parameter_sites(graph)
    return tuple(_term(parameter, sites.get(parameter.name)) for parameter in graph.parameters)


def _term(parameter: Parameter, site: Site | None) -> Term:
    if site is None:
        return constant(whole_bytes(parameter.elements * parameter.bits))
    return Term((site.name,), lambda formats: parameter_bytes(parameter, site, formats[0]))
