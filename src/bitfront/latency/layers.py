"""Which layers can be lowered to kernels of their own, and what is folded into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, overload

from torch.fx import Node

from bitfront.graph.nodes import arguments
from bitfront.latency.network import Network, kind_of

Kind = Literal["conv", "linear", "matmul"]

_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
_PRODUCTS = ("matmul", "bmm", "mm")


@dataclass(frozen=True)
class Norm:
    """A batch norm that follows a layer and nothing else reads: `scale · x + shift` per channel."""

    node: str
    weight: str | None  # placeholders of the stored tensors
    bias: str | None
    mean: str
    variance: str
    epsilon: float


@dataclass(frozen=True)
class Layer:
    """A convolution, linear layer or product of two activations, with what is folded into it.

    `inputs` are the sites of what it reads (None where there is none), `weight` and `bias` the names of the
    placeholders of its stored tensors, `options` the strides and the like of a convolution. `last` is the
    node whose value the layer gives: that of the layer, of its batch norm or of its ReLU.
    """

    name: str
    kind: Kind
    node: str
    inputs: tuple[str | None, ...]
    rank: int  # axes of the output
    weight: str | None = None
    bias: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    norm: Norm | None = None
    activation: str | None = None

    @property
    def last(self) -> str:
        return self.activation or (self.norm.node if self.norm else self.node)

    @property
    def folded(self) -> tuple[str, ...]:
        """The nodes that it takes over."""
        return tuple(name for name in (self.norm and self.norm.node, self.activation) if name)


class Layers(Sequence[Layer]):
    """The layers of a network in execution order, and the sites of what they read."""

    def __init__(self, network: Network) -> None:
        self.network = network
        found = (_layer(network, node) for node in network.nodes)
        self._layers = tuple(layer for layer in found if layer is not None)

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, index: int | slice) -> Layer | tuple[Layer, ...]:
        return self._layers[index]

    def site(self, placeholder: str | None) -> str | None:
        """The site of a stored tensor, by the placeholder that reads it."""
        path = None if placeholder is None else self._paths.get(placeholder)
        return None if path is None else self.network.site_of_tensor.get(path)

    @cached_property
    def readable(self) -> frozenset[str]:
        """The sites that kernels alone read, or that are folded into what they read."""
        return frozenset().union(*self._read.values()) - self.elsewhere.keys()

    @cached_property
    def elsewhere(self) -> Mapping[str, str]:
        """Sites that something without a kernel reads, and the name of that operation.

        The weight of a head may be that of an embedding too: the kernel of the head doesn't help the lookup.
        """
        network = self.network
        running = {network.program.operations.get(node.name) for node in network.nodes}
        found: dict[str, str] = {}
        for operation in network.graph.operations:
            if operation.name in running:
                for site in operation.sites.values():
                    if site not in self._read.get(operation.name, ()):
                        found.setdefault(site, operation.name)
        return found

    def named(self, site: str) -> str:
        """A site in words; of a tensor that kernels and others share, with who else reads it."""
        reader = self.elsewhere.get(site)
        if reader is None or not any(site in read for read in self._read.values()):
            return site
        return f"{site} at {reader}"

    @cached_property
    def _read(self) -> Mapping[str, frozenset[str]]:
        """The sites that each operation reads that is a layer or folded into one, by the operation's name."""
        operations = self.network.program.operations
        found: dict[str, frozenset[str]] = {}
        for layer in self:
            stored = [self.site(name) for name in (layer.weight, layer.bias)]
            found[layer.name] = frozenset(site for site in (*layer.inputs, *stored) if site)
            if layer.norm is not None:
                folded = [self.site(name) for name in (layer.norm.weight, layer.norm.bias)]
                found[operations[layer.norm.node]] = frozenset(site for site in folded if site)
        return found

    @cached_property
    def _paths(self) -> dict[str, str]:
        specs = self.network.program.exported.graph_signature.input_specs
        return {spec.arg.name: str(spec.target) for spec in specs if spec.target is not None}


def _layer(network: Network, node: Node) -> Layer | None:
    kind, name = kind_of(node), network.program.operations.get(node.name, "")
    if kind in _PRODUCTS:
        return _product(network, node, name)
    if kind not in (*_CONVOLUTIONS, "linear"):
        return None
    given = arguments(node)
    weight, bias = given["weight"], given["bias"]
    if not _is_stored(network, weight) or not (bias is None or _is_stored(network, bias)):
        return None
    options: tuple[tuple[str, Any], ...] = ()
    if kind != "linear":
        if isinstance(given["padding"], str):  # "same": other runtimes pad otherwise
            return None
        options = tuple((key, _whole(given[key])) for key in ("stride", "padding", "dilation", "groups"))
    norm_node = _only_reader(network, node, "batch_norm")
    norm = _norm(network, norm_node) if norm_node is not None else None
    before = norm_node if norm is not None and norm_node is not None else node
    activation = _only_reader(network, before, "relu")
    return Layer(
        name=name,
        kind="linear" if kind == "linear" else "conv",
        node=node.name,
        inputs=(network.quantized(node, "input"),),
        rank=len(node.meta["val"].shape),
        weight=weight.name,
        bias=None if bias is None else bias.name,
        options=options,
        norm=norm,
        activation=None if activation is None else activation.name,
    )


def _product(network: Network, node: Node, name: str) -> Layer | None:
    left, right = node.all_input_nodes if len(node.all_input_nodes) == 2 else (None, None)
    if left is None or right is None or len(node.args) != 2:
        return None
    if any(read.name in network.stored or read.meta["val"].dim() < 2 for read in (left, right)):
        return None
    second = "other" if kind_of(node) == "matmul" else "mat2"
    sites = (network.quantized(node, "self"), network.quantized(node, second))
    return Layer(name, "matmul", node.name, sites, len(node.meta["val"].shape))


def _only_reader(network: Network, node: Node, kind: str) -> Node | None:
    """The call of that kind, if it is all that reads the value, and reads it once."""
    reading = network.readers.get(node.name, ())
    alone = len(reading) == 1 and node is not network.output and kind_of(reading[0]) == kind
    return reading[0] if alone and reading[0].args[0] is node else None


def _norm(network: Network, node: Node) -> Norm | None:
    given = arguments(node)
    tensors: Mapping[str, Any] = {
        name: given[name] for name in ("weight", "bias", "running_mean", "running_var")
    }
    stored = all(tensor is None or _is_stored(network, tensor) for tensor in tensors.values())
    if given["training"] or not stored or tensors["running_mean"] is None:
        return None
    name = {key: None if tensor is None else tensor.name for key, tensor in tensors.items()}
    mean, variance = name["running_mean"], name["running_var"]
    assert mean is not None
    assert variance is not None
    return Norm(node.name, name["weight"], name["bias"], mean, variance, float(given["eps"]))


def _is_stored(network: Network, node: Any) -> bool:
    return isinstance(node, Node) and node.name in network.stored


def _whole(value: int | Sequence[int]) -> int | tuple[int, ...]:
    return tuple(int(item) for item in value) if isinstance(value, (list, tuple)) else int(value)  # pyright: ignore[reportArgumentType]
