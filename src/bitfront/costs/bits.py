"""Average bits of an element, of weights and of inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from bitfront.costs.base import Cost, Term
from bitfront.costs.stored import format_bits, parameter_sites
from bitfront.errors import ModelError
from bitfront.formats import Format
from bitfront.graph.model import Graph, Parameter, Site
from bitfront.metric import Metric

_UNQUANTIZED = 32


def average_bits() -> Cost:
    """Bits per weight: everything stored for all weights, scales included, over their number.

    Weights are all parameters with the role `weight`, those of norms and embeddings among them, each once.
    One without a site, or in fp32, counts 32 bits an element.
    """
    return Cost(Metric("average_bits", "bits", "min"), _weight_terms)


def average_input_bits() -> Cost:
    """Bits per element of what operations read, over all sites of activations, scales included.

    An input in fp32 counts 32 bits an element. Elements are counted at the graph's batch size, over which the
    scales are spread.
    """
    return Cost(Metric("average_input_bits", "bits", "min"), _input_terms)


def _weight_terms(graph: Graph) -> tuple[Term, ...]:
    sites = parameter_sites(graph)
    weights = [parameter for parameter in graph.parameters if parameter.role == "weight"]
    return _average([(weight, sites.get(weight.name)) for weight in weights], graph, "weights")


def _input_terms(graph: Graph) -> tuple[Term, ...]:
    return _average([(site, site) for site in graph.sites if not site.is_parameter], graph, "inputs")


def _average(
    tensors: Sequence[tuple[Parameter | Site, Site | None]], graph: Graph, what: str
) -> tuple[Term, ...]:
    whole = sum(tensor.elements for tensor, _ in tensors)
    if whole == 0:
        raise ModelError(f"The average bits of {graph.model} are undefined: it has no {what} to count.")
    fixed = _UNQUANTIZED * sum(tensor.elements for tensor, site in tensors if site is None)
    shares = [_share((), lambda formats: fixed, whole)]
    shares += [_site_share(site, whole) for _, site in tensors if site is not None]
    return tuple(term for share in shares for term in share)


def _site_share(site: Site, whole: int) -> tuple[Term, Term]:
    return _share((site.name,), lambda formats: format_bits(site, formats[0]), whole)


def _share(
    sites: tuple[str, ...], bits: Callable[[tuple[Format, ...]], int], whole: int
) -> tuple[Term, Term]:
    """One tensor's part of the average, and what rounding this part to a float left over.

    With the second term the sum is the average rounded once: weights that are all of 8 bits give 8, and not
    8.000000000000002, which a limit of 8 would refuse.
    """

    def rest(formats: tuple[Format, ...]) -> float:
        counted = bits(formats)
        return float(Fraction(counted, whole) - Fraction(counted / whole))

    return Term(sites, lambda formats: bits(formats) / whole), Term(sites, rest)
