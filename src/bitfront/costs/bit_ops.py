"""Arithmetic weighed by the bits of its operands."""

from __future__ import annotations

from bitfront.costs.base import FLOAT32, Cost, Term
from bitfront.formats import Format, format
from bitfront.graph.model import Graph, Operation, Product
from bitfront.metric import Metric


def bit_ops() -> Cost:
    """Bit operations of one forward pass of the graph's batch, over all sums of products.

    An output element with K products costs K·dw + (K−1)·dw + b: products, additions, bias. dw = input bits ×
    weight bits and b = bias bits, 0 without a bias. As in the MASE course labs. A recurrent layer is the
    products of its matrices; hidden states are in float.
    """
    return Cost(Metric("bit_ops", "", "min"), _bit_ops_terms)


def bops() -> Cost:
    """Bit operations as MACs × input bits × weight bits, over one forward pass of the graph's batch.

    Source: van Baalen et al. 2020, Bayesian Bits, arXiv:2005.07093.
    """
    return Cost(Metric("bops", "", "min"), _bops_terms)


def _bit_ops_terms(graph: Graph) -> tuple[Term, ...]:
    return tuple(_bit_ops_term(o, product) for o in graph.operations for product in _products(o))


def _bit_ops_term(operation: Operation, product: Product) -> Term:
    """The term of one sum of products; a bias without a site is a float one."""
    operands = _operands(operation, product)
    bias = None if product.bias is None else operation.sites.get(product.bias)
    float_bias = 0 if product.bias is None else format(FLOAT32).element.bits

    # By the products themselves: in a transposed convolution output elements differ in how many they have.
    additions = max(0, product.macs - product.outputs)

    def value(formats: tuple[Format, ...]) -> int:
        bits = _product_bits(formats[: len(operands)])
        bias_bits = float_bias if bias is None else formats[-1].element.bits
        return (product.macs + additions) * bits + product.outputs * bias_bits

    return Term(operands if bias is None else (*operands, bias), value)


def _bops_terms(graph: Graph) -> tuple[Term, ...]:
    return tuple(_bops_term(o, product) for o in graph.operations for product in _products(o))


def _bops_term(operation: Operation, product: Product) -> Term:
    return Term(_operands(operation, product), lambda formats: product.macs * _product_bits(formats))


def _products(operation: Operation) -> tuple[Product, ...]:
    """The sums of products of an operation: several, one or none."""
    if operation.products or not operation.macs:
        return operation.products
    biased = "bias" in operation.sites or any(p.role == "bias" for p in operation.parameters)
    factors = tuple(role for role in operation.sites if role != "bias")[:2]
    return (Product(operation.macs, operation.output_elements, factors, "bias" if biased else None),)


def _operands(operation: Operation, product: Product) -> tuple[str, ...]:
    """The sites of the two factors: input and weight, or both inputs of a product of activations.

    Fewer where a factor has no site.
    """
    return tuple(operation.sites[role] for role in product.factors if role in operation.sites)


def _product_bits(factors: tuple[Format, ...]) -> int:
    """Bits of one factor × bits of the other; a factor without a site is in float."""
    bits = [factor.element.bits for factor in factors] + [format(FLOAT32).element.bits] * 2
    return bits[0] * bits[1]
