"""Which runtimes execute a format; everywhere else it is simulated in float32.

Source: ONNX 1.23, QuantizeLinear and DequantizeLinear of opset 21, as far as ONNX Runtime 1.31 executes
them on a CPU: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
"""

from __future__ import annotations

from bitfront.formats.element import Integer, MachineFloat
from bitfront.formats.format import Format
from bitfront.formats.minifloat import E4M3, E5M2
from bitfront.formats.scale import AbsoluteMaximum, Constant, MinimumMaximum


def runtimes(format: Format) -> tuple[str, ...]:
    """The names of the runtimes that have the element type and can apply the scale.

    ONNX Runtime takes float scales per tensor, per channel or per block, not E8M0 ones; bfloat16 it has no
    kernels for on a CPU.
    """
    element = format.element
    if isinstance(element, MachineFloat):
        return () if format.name == "bf16" else ("onnxruntime",)
    has_type = element in (E4M3, E5M2) or (isinstance(element, Integer) and element.bits in (4, 8, 16))
    has_scale = isinstance(format.scale, AbsoluteMaximum | MinimumMaximum | Constant)
    return ("onnxruntime",) if has_type and has_scale else ()
