"""From an assignment to what every layer computes: kernels, codes, scales, whole biases, quantized outputs.

Nothing here is about a file: the simulator and the ONNX program are two readings of a `Lowered`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.fx import Node

from bitfront.errors import FormatError
from bitfront.formats import Axes, format
from bitfront.formats.calibration import calibrate
from bitfront.formats.observation import Observation
from bitfront.latency.integers import (
    ByteQuantizer,
    Codes,
    byte_quantizer,
    codes_of,
    in_blocks,
    whole_bias,
    with_fewest_scales,
)
from bitfront.latency.kernels import Choice, KernelName, NoKernel, choose, describe, formats_of
from bitfront.latency.layers import Layer, Layers, Norm
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.space import Assignment


@dataclass(frozen=True)
class LoweredLayer:
    """What a layer computes.

    Attributes:
        inputs: quantizers of what it reads, None in float.
        weight: the codes of an integer kernel, or the values of a float one; None for two activations.
        bias: float values (channels,), the batch norm folded in.
        output: the quantizer of what it gives, where that is part of its kernel.
        key: what `weight` and `bias` depend on; equal keys mean equal tensors.
    """

    layer: Layer
    choice: Choice
    inputs: tuple[ByteQuantizer | None, ...]
    weight: Codes | Tensor | None
    bias: Tensor | None
    output: ByteQuantizer | None
    key: tuple[str, ...]

    @property
    def kernel(self) -> KernelName:
        return self.choice.kernel

    @property
    def weight_bits(self) -> int:
        """The bits of a number of the weight."""
        return format(self.choice.weight).element.bits

    @cached_property
    def standard_weight(self) -> Codes | Tensor | None:
        """The weight as standard operators take it: blocks only where their scales differ."""
        return with_fewest_scales(self.weight) if isinstance(self.weight, Codes) else self.weight

    @cached_property
    def whole_bias(self) -> tuple[Tensor, Tensor] | None:
        """The int32 bias of an integer kernel and its unit, where the kernel takes it so.

        A product of more than two axes gives floats, and its bias is added to them.
        """
        quantizer = self.inputs[0]
        takes = self.kernel == "int8" and (self.layer.kind == "conv" or self.layer.rank == 2)
        if not takes or self.bias is None or quantizer is None:
            return None
        assert isinstance(self.weight, Codes)
        return whole_bias(self.bias, quantizer.scale, self.weight)


@dataclass(frozen=True)
class Lowered:
    """A candidate as it runs."""

    assignment: Assignment
    layers: tuple[LoweredLayer, ...]
    ignored: tuple[str, ...] = ()  # in words: sites in formats that no kernel here reads

    @property
    def labels(self) -> dict[str, str]:
        """The latency class of every layer."""
        return {lowered.layer.name: lowered.choice.label for lowered in self.layers}

    @property
    def remarks(self) -> list[str]:
        """Where the candidate runs otherwise than it was asked to."""
        found = [lowered.choice.remark for lowered in self.layers if lowered.choice.remark]
        return found + [f"{site} has no kernel: timed in float" for site in self.ignored]


class Lowering:
    """Lowers the candidates of a network. Tensors are made once for each layer and formats.

    Args:
        layers: those of the captured program.
        candidates: knows the calibrated input formats and the quantized stored tensors.
        calibration: examples on which the outputs of integer convolutions are calibrated.
        method: the calibration method, for these outputs.
        otherwise: what happens to formats without a kernel.
        batch_size: examples of a pass over `calibration`.
    """

    def __init__(
        self,
        layers: Layers,
        candidates: Candidates,
        calibration: Examples,
        method: str = "minmax",
        otherwise: NoKernel = "error",
        batch_size: int = 256,
    ) -> None:
        self.network = layers.network
        self.layers = layers
        self.otherwise: NoKernel = otherwise
        self._candidates = candidates
        self._calibration = calibration
        self._method = method
        self._batch_size = batch_size
        self._parameters: dict[tuple[str, ...], tuple[Codes | Tensor | None, Tensor | None]] = {}
        self._inputs: dict[tuple[str, str], ByteQuantizer] = {}

    def lower(self, assignment: Assignment) -> Lowered:
        """What the candidate computes.

        Raises:
            FormatError: a layer has no kernel for its formats, and that is an error here.
        """
        chosen = dict(assignment)
        choices = {layer.node: self._choose(layer, chosen) for layer in self.layers}
        quantizers = {layer.node: self._quantizers(layer, choices[layer.node]) for layer in self.layers}
        readable, named = self.layers.readable, self.layers.named
        ignored = tuple(
            f"{named(site)} in {name}"
            for site, name in chosen.items()
            if name != "fp32" and site not in readable
        )
        if ignored and self.otherwise == "error":
            raise FormatError(f"No kernel reads {', '.join(ignored[:4])}{' …' * (len(ignored) > 4)}.")
        lowered = []
        for layer in self.layers:
            choice = choices[layer.node]
            key = self._key(layer, choice, chosen)
            weight, bias = self._tensors(layer, choice, key)
            output = self._output(layer, choice, quantizers)
            lowered.append(LoweredLayer(layer, choice, quantizers[layer.node], weight, bias, output, key))
        return Lowered(assignment, tuple(lowered), ignored)

    def _choose(self, layer: Layer, chosen: Mapping[str, str]) -> Choice:
        inputs, weight = formats_of(layer, self.layers.site(layer.weight), chosen)
        choice = choose(layer, inputs, weight, self.otherwise)
        if choice is None:
            raise FormatError(f"No kernel runs {describe(layer, inputs, weight)}.")
        return choice

    def _quantizers(self, layer: Layer, choice: Choice) -> tuple[ByteQuantizer | None, ...]:
        return tuple(
            None if name == "fp32" or site is None else self._input(site, name)
            for site, name in zip(layer.inputs, choice.inputs, strict=True)
        )

    def _input(self, site: str, name: str) -> ByteQuantizer:
        if (site, name) not in self._inputs:
            self._inputs[site, name] = byte_quantizer(self._candidates.input_format(site, name))
        return self._inputs[site, name]

    def _key(self, layer: Layer, choice: Choice, chosen: Mapping[str, str]) -> tuple[str, ...]:
        norm = layer.norm
        stored = (layer.bias, norm.weight, norm.bias) if norm else (layer.bias,)
        others = [chosen.get(self.layers.site(name) or "", "fp32") for name in stored]
        return (layer.node, choice.kernel, choice.weight, *others)

    def _tensors(
        self, layer: Layer, choice: Choice, key: tuple[str, ...]
    ) -> tuple[Codes | Tensor | None, Tensor | None]:
        if layer.weight is None:
            return None, None
        if key not in self._parameters:
            with torch.inference_mode():
                self._parameters[key] = self._make(layer, choice, key[3:])
        return self._parameters[key]

    def _make(
        self, layer: Layer, choice: Choice, names: tuple[str, ...]
    ) -> tuple[Codes | Tensor, Tensor | None]:
        assert layer.weight is not None
        stored = self._stored(layer.weight, "fp32")
        site = self.layers.site(layer.weight)
        if choice.kernel == "fp32":
            weight: Codes | Tensor = self._stored(layer.weight, choice.weight)
        else:
            assert site is not None
            described = self.network.graph.site[site]
            axes = Axes(described.channel, described.reduction)
            weight = codes_of(stored, format(choice.weight), axes)
            weight = in_blocks(weight) if choice.kernel == "MatMulNBits" else weight
        bias = None if layer.bias is None else self._stored(layer.bias, names[0])
        if layer.norm is None:
            return weight, bias
        factor, shift = self._norm(layer.norm, names[1], names[2])
        before = torch.zeros(()) if bias is None else bias
        if isinstance(weight, Codes):
            return weight.scaled(factor), before * factor + shift
        return weight * factor.reshape(-1, *[1] * (weight.dim() - 1)), before * factor + shift

    def _norm(self, norm: Norm, weight: str, bias: str) -> tuple[Tensor, Tensor]:
        """Batch norm as factor and shift per channel: factor · x + shift."""
        mean, variance = self.network.stored[norm.mean], self.network.stored[norm.variance]
        factor = (variance.double() + norm.epsilon).rsqrt()
        if norm.weight is not None:
            factor = factor * self._stored(norm.weight, weight)
        shift = -mean * factor
        if norm.bias is not None:
            shift = shift + self._stored(norm.bias, bias)
        return factor.float(), shift.float()

    def _stored(self, placeholder: str, name: str) -> Tensor:
        site = self.layers.site(placeholder)
        if name == "fp32" or site is None:
            return self.network.stored[placeholder].detach().float()
        return self._candidates.weight(site, name)

    def _output(
        self, layer: Layer, choice: Choice, quantizers: Mapping[str, tuple[ByteQuantizer | None, ...]]
    ) -> ByteQuantizer | None:
        """The quantizer of a layer's output.

        That of the inputs that read it, where they all have the same one. Otherwise floats where a kernel
        gives floats; an integer convolution gives bytes, in a range that its output has in the float model.
        """
        if choice.kernel != "int8":
            return None
        reading = self._readers(layer, quantizers)
        if reading and None not in reading and len(set(reading)) == 1:
            return reading[0]
        return self._own_outputs[layer.node] if layer.kind == "conv" else None

    def _readers(
        self, layer: Layer, quantizers: Mapping[str, tuple[ByteQuantizer | None, ...]]
    ) -> list[ByteQuantizer | None]:
        network = self.network
        if layer.last == network.output.name:
            return [None]
        found: list[ByteQuantizer | None] = []
        for node in network.readers.get(layer.last, ()):
            by_input = quantizers.get(node.name)
            if by_input is None:
                found.append(None)
                continue
            sources = [given.name if isinstance(given, Node) else "" for given in node.args[: len(by_input)]]
            found += [q for source, q in zip(sources, by_input, strict=True) if source == layer.last]
        return found

    @cached_property
    def _own_outputs(self) -> dict[str, ByteQuantizer]:
        """Of every convolution: what holds its output in unsigned bytes, from the calibration examples."""
        seen = {layer.last: Observation() for layer in self.layers if layer.kind == "conv"}
        with torch.inference_mode():
            for batch in self._calibration.batches(self._batch_size):
                self.network.observe(batch.inputs, seen)
        byte, axes = format("uint8"), Axes(channel=None)
        return {
            layer.node: byte_quantizer(calibrate(byte, seen[layer.last], self._method, axes))
            for layer in self.layers
            if layer.kind == "conv"
        }
