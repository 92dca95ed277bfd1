"""QONNX's `Quant` as an ONNX function, so that a runtime without QONNX runs the same file.

Source: QONNX, docs/qonnx-custom-ops/quant_op.md; Pappalardo et al. 2022, "QONNX: Representing
Arbitrary-Precision Quantized Neural Networks", arXiv:2206.07527.
"""

from __future__ import annotations

import onnx
from onnx import FunctionProto, NodeProto, TensorProto, helper

DOMAIN = "qonnx.custom_op.general"
VERSION = 1


def quant_function(opset: int) -> FunctionProto:
    """`Quant(x, scale, zeropt, bitwidth)`: (clip(x / scale + zeropt) rounded, minus zeropt) × scale.

    The range is that of whole numbers of `bitwidth` bits; `narrow` leaves out one code of it.
    """
    nodes = [
        *_number("one", 1.0),
        *_number("two", 2.0),
        *_attribute("signed"),
        *_attribute("narrow"),
        _node("Pow", "two", "bitwidth", gives="codes"),
        _node("Div", "codes", "two", gives="half"),
        # signed: half − 1; unsigned: codes − 1 − narrow
        _node("Sub", "half", "one", gives="signed_top"),
        _node("Sub", "codes", "one", gives="last"),
        _node("Sub", "last", "narrow", gives="unsigned_top"),
        _node("Sub", "narrow", "half", gives="signed_bottom"),
        _node("Mul", "signed_bottom", "signed", gives="bottom"),
        _node("Greater", "signed", "bottom", gives="is_signed"),  # below it where signed, equal to it else
        _node("Where", "is_signed", "signed_top", "unsigned_top", gives="top"),
        _node("Div", "x", "scale", gives="scaled"),
        _node("Add", "scaled", "zeropt", gives="shifted"),
        _node("Max", "shifted", "bottom", gives="raised"),
        _node("Min", "raised", "top", gives="clipped"),
        _node("Round", "clipped", gives="rounded"),
        _node("Sub", "rounded", "zeropt", gives="centred"),
        _node("Mul", "centred", "scale", gives="y"),
    ]
    return helper.make_function(
        DOMAIN,
        "Quant",
        ["x", "scale", "zeropt", "bitwidth"],
        ["y"],
        nodes,
        [helper.make_opsetid("", opset)],
        ["signed", "narrow", "rounding_mode"],
    )


def _node(op: str, *inputs: str, gives: str) -> NodeProto:
    return helper.make_node(op, list(inputs), [gives])


def _number(name: str, value: float) -> list[NodeProto]:
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
    return [helper.make_node("Constant", [], [name], value=tensor)]


def _attribute(name: str) -> list[NodeProto]:
    """The whole number of an attribute as a float."""
    constant = helper.make_node("Constant", [], [f"{name}_int"])
    reference = onnx.AttributeProto(name="value_int", ref_attr_name=name, type=onnx.AttributeProto.INT)
    constant.attribute.append(reference)
    return [constant, helper.make_node("Cast", [f"{name}_int"], [name], to=TensorProto.FLOAT)]
