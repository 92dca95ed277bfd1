"""Counts of single operations, by hand."""

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture
from tests.graph.modules import made, rows


def _only(model, *inputs):
    """The one operation that isn't free."""
    (operation,) = [
        o for o in capture(model, inputs).operations if o.macs or o.flops or o.status == "unknown"
    ]
    return operation


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "fan_in"),
    [
        (nn.Linear(16, 5), (8, 16), 8 * 5 * 16, 16),
        (nn.Linear(16, 5), (8, 3, 16), 8 * 3 * 5 * 16, 16),
        (nn.Conv1d(4, 6, 3), (2, 4, 10), 2 * 6 * 8 * 12, 12),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 5, 5), 2 * 6 * 25 * 36, 36),
        (nn.Conv2d(4, 6, (3, 1), stride=2), (2, 4, 5, 5), 2 * 6 * 2 * 3 * 12, 12),
        (nn.Conv2d(4, 6, 3, groups=2, padding="same"), (2, 4, 5, 5), 2 * 6 * 25 * 18, 18),
        (nn.Conv2d(4, 4, 3, groups=4, dilation=2), (2, 4, 7, 7), 2 * 4 * 9 * 9, 9),  # depthwise
        (nn.Conv3d(2, 3, 2), (2, 2, 3, 3, 3), 2 * 3 * 8 * 16, 16),
    ],
    ids=["linear", "linear in time", "conv1d", "padded", "strided", "groups", "depthwise", "conv3d"],
)
def test_sums_of_products(layer, shape, macs, fan_in):
    operation = _only(layer, rows(*shape))
    assert (operation.macs, operation.fan_in, operation.flops) == (macs, fan_in, 0)
    assert list(operation.sites) == ["input", "weight", "bias"]


def test_axes_of_a_convolution():
    graph = capture(nn.Conv2d(4, 6, 3, groups=2), rows(2, 4, 5, 5))
    weight, entering = graph.site["conv2d:weight"], graph.site["conv2d:input"]
    assert (weight.shape, weight.channel, weight.reduction) == ((6, 2, 3, 3), 0, (1, 2, 3))
    assert (entering.channel, entering.reduction) == (None, (1,))


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.BatchNorm2d(4), (2, 4, 3, 3), 4 * 72),
        (nn.BatchNorm1d(4, affine=False), (2, 4), 4 * 8),
        (nn.LayerNorm(6), (2, 4, 6), 5 * 48),
        (nn.ReLU(), (2, 4), 8),
        (nn.GELU(), (2, 4), 8),
        (nn.Hardswish(), (2, 4), 8),
        (nn.LogSigmoid(), (2, 4), 8),
        (nn.Softmax(-1), (2, 4), 8),
        (nn.LogSoftmax(-1), (2, 4), 8),
        (nn.PReLU(4), (2, 4), 8),
        (made(lambda self, x: x * 2), (2, 4), 8),
        (made(lambda self, x: x - x[:, :1]), (2, 4), 8),
        (made(lambda self, x: x.mean(-1)), (2, 4, 5), 40),
        (nn.AdaptiveAvgPool2d(1), (2, 3, 4, 4), 96),
        (nn.AdaptiveMaxPool2d((2, 1)), (2, 3, 4, 4), 96),
        (nn.MaxPool1d(3), (2, 4, 9), 2 * 4 * 3 * 3),
        (nn.MaxPool2d(2), (2, 3, 5, 5), 2 * 3 * 4 * 4),
        (nn.MaxPool2d(2, ceil_mode=True), (2, 3, 5, 5), 2 * 3 * 9 * 4),
        (nn.MaxPool2d(3, stride=1, padding=1), (2, 3, 5, 5), 2 * 3 * 25 * 9),
        (nn.AvgPool2d((3, 1)), (2, 3, 6, 5), 2 * 3 * 10 * 3),
        (nn.AvgPool3d(2), (2, 3, 4, 4, 4), 2 * 3 * 8 * 8),
    ],
)
def test_everything_else(layer, shape, flops):
    operation = _only(layer, rows(*shape))
    assert (operation.macs, operation.fan_in) == (0, 0)
    assert (operation.flops, operation.backward_flops) == (flops, flops)


@pytest.mark.parametrize("size", [[2], [2, 2]])
def test_pooling_by_a_list(size):
    operation = _only(made(lambda self, x: torch.ops.aten.max_pool2d(x, size)), rows(2, 3, 4, 4))
    assert operation.flops == 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: x.flatten(1),
        lambda self, x: x.transpose(1, 2).reshape(x.shape[0], -1),
        lambda self, x: functional.dropout(x, training=False),
        lambda self, x: torch.cat([x, x], 1),
        lambda self, x: functional.pad(x, (1, 1)),
        lambda self, x: x[:, :1].expand(-1, 3, -1).contiguous(),
    ],
)
def test_what_moves_data_is_free_and_fixed(forward):
    operations = capture(made(forward), rows(2, 3, 4)).operations
    assert operations
    for operation in operations:
        assert (operation.status, operation.macs, operation.flops, operation.sites) == ("fixed", 0, 0, {})


def test_add_and_pooling_are_counted_and_fixed():
    operations = capture(made(lambda self, x: functional.max_pool2d(x + x, 2)), rows(2, 3, 4, 4)).operations
    assert [(o.status, o.flops) for o in operations] == [("fixed", 96), ("fixed", 96)]


@pytest.mark.parametrize(
    ("forward", "op"),
    [
        (lambda self, x: torch.linalg.vector_norm(x, dim=1, keepdim=True), "linalg_vector_norm"),
        (lambda self, x: x.cumsum(1), "cumsum"),
        (lambda self, x: torch.fft.rfft(x).real.contiguous(), "fft_rfft"),
        (lambda self, x: x.sin(), "sin"),
    ],
)
def test_unknown_operations_are_named_and_count_nothing(forward, op):
    graph = capture(made(forward), rows(4, 6))
    assert op in {operation.op for operation in graph.unknown}
    for operation in graph.unknown:
        assert (operation.macs, operation.flops, operation.sites) == (0, 0, {})


def test_a_custom_operation_is_unknown(custom_double):
    graph = capture(made(lambda self, x: custom_double(x)), rows(4, 6))
    assert [(o.op, o.status) for o in graph.operations] == [("bitfront_tests.double", "unknown")]
