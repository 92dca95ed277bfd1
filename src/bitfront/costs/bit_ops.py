"""Arithmetic weighed by the bits of its operands."""

from __future__ import annotations

from bitfront.costs.base import FLOAT32, Cost, Term
from bitfront.formats import Format, format
from bitfront.graph.model import Graph, Operation
from bitfront.metric import Metric


def bit_ops() -> Cost:
    """Bit operations of one forward pass of the graph's batch, over all sums of products.

    An output element with K products costs K·dw + (K−1)·dw + b: products, additions, bias. dw = input bits ×
    weight bits and b = bias bits, 0 without a bias. As in the MASE course labs.
    """
    return Cost(Metric("bit_ops", "", "min"), _bit_ops_terms)


def bops() -> Cost:
    """Bit operations as MACs × input bits × weight bits, over one forward pass of the graph's batch.

    Source: van Baalen et al. 2020, Bayesian Bits, arXiv:2005.07093.
    """
    return Cost(Metric("bops", "", "min"), _bops_terms)


def _bit_ops_terms(graph: Graph) -> tuple[Term, ...]:
    return tuple(_bit_ops_term(operation) for operation in graph.operations if operation.macs > 0)


def _bit_ops_term(operation: Operation) -> Term:
    """The term of one sum of products; a bias without a site is a float one."""
    operands = _operands(operation)
    bias = operation.sites.get("bias")
    biased = bias is not None or any(parameter.role == "bias" for parameter in operation.parameters)
    float_bias = format(FLOAT32).element.bits if biased else 0

    # By the products themselves: in a transposed convolution output elements differ in how many they have.
    additions = max(0, operation.macs - operation.output_elements)

    def value(formats: tuple[Format, ...]) -> int:
        product = _product_bits(formats[: len(operands)])
        bias_bits = float_bias if bias is None else formats[-1].element.bits
        return (operation.macs + additions) * product + operation.output_elements * bias_bits

    return Term(operands if bias is None else (*operands, bias), value)


def _bops_terms(graph: Graph) -> tuple[Term, ...]:
    return tuple(_bops_term(operation) for operation in graph.operations if operation.macs > 0)


def _bops_term(operation: Operation) -> Term:
    return Term(_operands(operation), lambda formats: operation.macs * _product_bits(formats))


def _operands(operation: Operation) -> tuple[str, ...]:
    """The sites of the two factors: input and weight, or both inputs of a product of activations.

    Fewer where a factor has no site.
    """
    return tuple(site for role, site in operation.sites.items() if role != "bias")[:2]


def _product_bits(factors: tuple[Format, ...]) -> int:
    """Bits of one factor × bits of the other; a factor without a site is in float."""
    bits = [factor.element.bits for factor in factors] + [format(FLOAT32).element.bits] * 2
    return bits[0] * bits[1]
