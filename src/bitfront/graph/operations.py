"""The table of operations: from shapes to multiply–accumulates, FLOPs and sites.

Every ATen operation is a row here, or free (moves, makes or chooses data and computes nothing), or unknown and
then named. docs/operations.md is the same table for people.

Conventions: `macs` counts one multiply–accumulate per product of a linear, convolution or matrix product.
`flops` counts everything else, per element: batch and RMS normalisation 4, other norms 5, activations,
additions and products 1, pooling and reductions one per value read. These are the "computations" of the MASE
course labs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bitfront.graph.counting import (
    Call,
    Count,
    convolution,
    linear,
    nothing,
    per_input,
    per_output,
    pooling,
    transposed_convolution,
)
from bitfront.graph.einsum import counts_einsum, einsum, einsum_operands
from bitfront.graph.operands import (
    Operand,
    Operands,
    every_item,
    factors,
    fixed,
    matrix_product,
    two_tensors,
)
from bitfront.graph.recurrent import (
    GRU_FLOPS,
    LSTM_FLOPS,
    RNN_FLOPS,
    counts_recurrent,
    recurrent,
    recurrent_operands,
)


@dataclass(frozen=True)
class Kind:
    """A row of the table: the name that `type:` matches, counts, and what can be given a format.

    `knows` tells calls apart that the row can't speak for; they are unknown.
    """

    op: str
    count: Count
    operands: Operands
    knows: Callable[[Call], bool] = lambda call: True


_INPUT = Operand("input")
_CHANNELS_FIRST = Operand("input", reduction=(1,))
_VECTORS = {role: Operand(role, reduction=(0,)) for role in ("weight", "bias")}
_BIAS = _VECTORS["bias"]
_NONE = fixed()


def _kinds() -> dict[str, Kind]:
    rows: dict[str, Kind] = {}

    def add(names: str, count: Count, operands: Operands = _NONE, op: str = "") -> None:
        rows.update({name: Kind(op or name.strip("_"), count, operands) for name in names.split()})

    _add_sums_of_products(add)
    rows["einsum"] = Kind("einsum", einsum, einsum_operands, counts_einsum)
    rows.update(_recurrent_kinds())
    table = Operand("weight", 0, (1,))  # (rows, features): a row is what is looked up
    add("embedding", nothing, fixed(weight=table))
    add("batch_norm", per_output(4), fixed(input=_CHANNELS_FIRST, **_VECTORS))
    add("group_norm instance_norm", per_output(5), fixed(input=_CHANNELS_FIRST, **_VECTORS))
    add("layer_norm", per_output(5), fixed(input=_INPUT, **_VECTORS))
    add("rms_norm", per_output(4), fixed(input=_INPUT, weight=_VECTORS["weight"]))
    add(_ACTIVATIONS, per_output(), fixed(self=_INPUT, input=_INPUT))
    add("softmax _softmax log_softmax _log_softmax", per_output(), fixed(self=_INPUT))
    add("_safe_softmax", per_output(), fixed(self=_INPUT), "softmax")
    add("glu", per_output(2), fixed(self=_INPUT))
    add("prelu", per_output(), fixed(self=_CHANNELS_FIRST, weight=_VECTORS["weight"]))
    add("add sub rsub mul div", per_output(), two_tensors)
    add("cat stack", nothing, every_item)
    add(_ARITHMETIC, per_output())
    add("addcmul addcdiv lerp", per_output(2))
    add("max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d", pooling)
    add(_REDUCTIONS, per_input())
    add("linalg_vector_norm norm", per_input(2))
    add("var std var_mean std_mean logsumexp", per_input(3))
    for mode, values in {"linear1d": 2, "bilinear2d": 4, "trilinear3d": 8, "bicubic2d": 16}.items():
        add(f"upsample_{mode}", per_output(values))
    return rows


def _recurrent_kinds() -> dict[str, Kind]:
    plain = recurrent(1, RNN_FLOPS)
    counts = {
        "lstm": ("lstm", recurrent(4, LSTM_FLOPS)),
        "gru": ("gru", recurrent(3, GRU_FLOPS)),
        "rnn_tanh": ("rnn", plain),
        "rnn_relu": ("rnn", plain),
    }
    return {
        name: Kind(op, count, recurrent_operands, counts_recurrent) for name, (op, count) in counts.items()
    }


def _transposed_operands(weight: Operand) -> Operands:
    """In several groups an output channel is a place on two axes of the weight: no axis is the channels'."""
    one_group = fixed(input=_CHANNELS_FIRST, weight=weight, bias=_BIAS)
    grouped = fixed(input=_CHANNELS_FIRST, weight=Operand("weight", None, ()), bias=_BIAS)
    return lambda call: (one_group if call.arguments["groups"] == 1 else grouped)(call)


def _add_sums_of_products(add: Callable[..., None]) -> None:
    add("linear", linear, fixed(input=_INPUT, weight=Operand("weight", 0, (1,)), bias=_BIAS))
    for dimensions in (1, 2, 3):
        kernel = tuple(range(2, dimensions + 2))
        weight = Operand("weight", 0, (1, *kernel))
        add(f"conv{dimensions}d", convolution, fixed(input=_CHANNELS_FIRST, weight=weight, bias=_BIAS))
        weight = Operand("weight", 1, (0, *kernel))  # (in, out / groups, *kernel)
        add(f"conv_transpose{dimensions}d", transposed_convolution, _transposed_operands(weight))
    add("matmul", matrix_product("self"), factors("self", "other"))
    add("bmm mm", matrix_product("self"), factors("self", "mat2"), "matmul")
    add("mv", matrix_product("self"), factors("self", "vec"), "matmul")
    add("addmm", matrix_product("mat1"), factors("mat1", "mat2", self=_BIAS), "matmul")
    add("baddbmm", matrix_product("batch1"), factors("batch1", "batch2", self=_BIAS), "matmul")


_ACTIVATIONS = (
    "relu relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardtanh hardswish hardsigmoid softplus "
    "log_sigmoid threshold hardshrink softshrink rrelu"
)

_ARITHMETIC = (
    "neg abs sign pow square sqrt rsqrt reciprocal exp exp2 expm1 log log1p log2 log10 sin cos tan atan atan2 "
    "erf erfc floor ceil round trunc frac fmod remainder floor_divide clamp clamp_min clamp_max maximum minimum "
    "fmax fmin cumsum cumprod"
)

# Choosing one of several values compares each of them, as pooling does.
_REDUCTIONS = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "adaptive_max_pool3d mean sum prod amax amin max min argmax argmin topk sort argsort"
)

KINDS: Mapping[str, Kind] = _kinds()

# What a stored tensor is to an operation that has no operand for it, by the name of the argument.
ALIASES: Mapping[str, str] = {"self": "input"}

FREE = frozenset(
    # the same values in another shape or order
    """
    view reshape flatten unflatten squeeze unsqueeze permute transpose t numpy_T mT adjoint swapaxes swapdims
    movedim contiguous clone detach detach_ alias lift lift_fresh lift_fresh_copy view_as reshape_as
    slice select narrow split split_with_sizes chunk unsafe_chunk unsafe_split tensor_split unbind diagonal
    expand expand_as broadcast_to repeat repeat_interleave tile flip roll rot90 unfold im2col pixel_shuffle
    pixel_unshuffle channel_shuffle native_channel_shuffle pad constant_pad_nd reflection_pad1d reflection_pad2d
    replication_pad1d replication_pad2d meshgrid dropout feature_dropout alpha_dropout to _to_copy type_as
    upsample_nearest1d upsample_nearest2d upsample_nearest3d
    """.split()  # noqa: SIM905
    # values chosen by position or by a mask
    + """
    gather index index_select index_put scatter select_scatter slice_scatter take_along_dim where masked_fill
    tril triu one_hot
    """.split()  # noqa: SIM905
    # positions and constants, made from shapes alone
    + """
    zeros ones full empty arange linspace eye scalar_tensor zeros_like ones_like full_like empty_like new_zeros
    new_ones new_full new_empty tril_indices triu_indices
    """.split()  # noqa: SIM905
    # masks: truth values, no arithmetic
    + """
    eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not
    bitwise_xor __and__ __or__ __xor__ isnan isinf isfinite any all
    """.split()  # noqa: SIM905
)
