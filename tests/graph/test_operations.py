"""Counts of single operations, by hand."""

import re

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture
from bitfront.graph.operations import FREE, KINDS
from tests.conftest import ROOT
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


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "fan_in"),
    [
        (nn.ConvTranspose1d(4, 6, 3), (2, 4, 5), 2 * 4 * 5 * 18, 12),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (2, 4, 5, 5), 2 * 4 * 25 * 24, 4),  # taps never meet
        (nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1), (2, 4, 5, 5), 2 * 4 * 25 * 96, 16),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 5, 5), 2 * 4 * 25 * 27, 18),
        (nn.ConvTranspose1d(4, 6, 3, stride=2, dilation=2), (2, 4, 5), 2 * 4 * 5 * 18, 12),  # all taps meet
        (nn.ConvTranspose3d(2, 3, 2), (2, 2, 3, 3, 3), 2 * 2 * 27 * 24, 16),
    ],
    ids=["1d", "apart", "padded", "groups", "dilated", "3d"],
)
def test_transposed_convolutions(layer, shape, macs, fan_in):
    operation = _only(layer, rows(*shape))
    assert (operation.macs, operation.fan_in, operation.flops) == (macs, fan_in, 0)
    weight = capture(layer, rows(*shape)).site[operation.sites["weight"]]
    # In several groups an output channel is a place on two axes.
    one_group = (1, (0, *range(2, len(shape))))
    assert (weight.channel, weight.reduction) == (one_group if layer.groups == 1 else (None, ()))


def _weight(*shape):
    return nn.Parameter(rows(*shape, seed=9))


@pytest.mark.parametrize(
    ("forward", "shapes", "macs", "fan_in"),
    [
        (lambda self, x, y: x @ y, [(2, 3, 4), (2, 4, 5)], 2 * 3 * 5 * 4, 4),
        (lambda self, x, y: x @ y, [(2, 6, 3, 4), (2, 1, 4, 5)], 2 * 6 * 3 * 5 * 4, 4),
        (lambda self, x, y: torch.bmm(x, y), [(2, 3, 4), (2, 4, 5)], 2 * 3 * 5 * 4, 4),
        (lambda self, x, y: torch.baddbmm(x[:, :, :1], x, y), [(2, 3, 4), (2, 4, 5)], 2 * 3 * 5 * 4, 4),
        (lambda self, x, y: torch.einsum("bij,bjk->bik", x, y), [(2, 3, 4), (2, 4, 5)], 2 * 3 * 5 * 4, 4),
        (lambda self, x, y: torch.einsum("bij,jk", x, y[0]), [(2, 3, 4), (2, 4, 5)], 2 * 3 * 5 * 4, 4),
        (lambda self, x, y: torch.einsum("b...d,b...d->b...", x, y), [(2, 3, 4), (2, 3, 4)], 2 * 3 * 4, 4),
    ],
    ids=["matmul", "broadcast", "bmm", "baddbmm", "einsum", "implicit einsum", "ellipsis"],
)
def test_products_of_activations(forward, shapes, macs, fan_in):
    operation = _only(made(forward), *(rows(*shape) for shape in shapes))
    assert (operation.macs, operation.fan_in, operation.flops) == (macs, fan_in, 0)
    assert list(operation.sites) == ["input", "other"]


@pytest.mark.parametrize(
    ("forward", "stored", "channel", "reduction"),
    [
        (lambda self, x: x @ self.w, (6, 5), 1, (0,)),
        (lambda self, x: x @ self.w.T, (5, 6), 0, (1,)),
        (lambda self, x: x @ self.w.t().contiguous(), (5, 6), 0, (1,)),
        (lambda self, x: x[:, :, None] @ self.w.permute(1, 2, 0), (5, 4, 6), 0, (2,)),
        (lambda self, x: self.w @ x.mT, (5, 6), 0, (1,)),
        (lambda self, x: x @ self.w, (6,), None, (0,)),
        (lambda self, x: torch.einsum("bij,kj->bik", x, self.w), (5, 6), 0, (1,)),
        (lambda self, x: torch.einsum("bij,hjk->bhik", x, self.w), (2, 6, 5), 2, (1,)),
        (lambda self, x: functional.linear(x, self.w.mT), (6, 5), 1, (0,)),
        (lambda self, x: torch.mm(x.flatten(1), self.w), (24, 5), 1, (0,)),
        (lambda self, x: torch.addmm(self.b, x.flatten(1), self.w), (24, 5), 1, (0,)),
    ],
)
def test_a_stored_factor_is_a_weight_before_its_view(forward, stored, channel, reduction):
    graph = capture(made(forward, w=_weight(*stored), b=nn.Parameter(rows(5))), rows(3, 4, 6))
    (product,) = [o for o in graph.operations if o.macs]
    weight = graph.site[product.sites["weight"]]
    assert (weight.tensor, weight.shape, weight.channel, weight.reduction) == (
        "w",
        stored,
        channel,
        reduction,
    )
    assert list(product.sites)[:2] in (["input", "weight"], ["weight", "other"])
    assert [(p.name, p.role) for p in graph.parameters if p.name == "w"] == [("w", "weight")]
    assert [o.name for o in graph.operations if any(p.name == "w" for p in o.parameters)] == [product.name]


def test_an_embedding_looks_up_rows():
    graph = capture(nn.Embedding(9, 4), torch.randint(0, 9, (2, 3)))
    (operation,) = graph.operations
    assert (operation.status, operation.macs, operation.flops, operation.fan_in) == ("searchable", 0, 0, 0)
    (site,) = graph.sites
    assert (site.role, site.shape, site.channel, site.reduction) == ("weight", (9, 4), 0, (1,))


@pytest.mark.parametrize(
    ("forward", "roles"),
    [
        (lambda self, x: x + x.relu(), ["input", "other"]),
        (lambda self, x: x * x.mean(-1, keepdim=True), ["input", "other"]),
        (lambda self, x: self.position + x, ["other"]),
        (lambda self, x: x - self.position.tanh(), ["input"]),
        (lambda self, x: x / torch.arange(1.0, 5.0), ["input"]),
        (lambda self, x: x * 2, []),
        (lambda self, x: 1 - x, []),
        (lambda self, x: x * self.scale, []),
        (lambda self, x: x + torch.zeros_like(x), ["input"]),
        (lambda self, x: x.long() + x.long(), []),
    ],
)
def test_sites_are_operands_that_depend_on_the_inputs(forward, roles):
    model = made(forward, position=nn.Parameter(rows(3, 4)), scale=nn.Parameter(torch.tensor(2.0)))
    operation = capture(model, rows(2, 3, 4)).operations[-1]
    assert list(operation.sites) == roles


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_the_operands_of_a_cat_are_one_site(join):
    graph = capture(made(lambda self, x: join([x, x.relu(), x.tanh()], 1)), rows(2, 3, 4))
    assert [site.name for site in graph.sites][-1] == f"{join.__name__}:input"
    assert graph.sites[-1].elements == 3 * 24
    assert graph.operations[-1].macs == graph.operations[-1].flops == 0


def test_a_softmax_behind_a_mask_has_no_site():
    model = made(lambda self, x: x.masked_fill(x > 1, -torch.inf).softmax(-1) + x.softmax(-1))
    assert [site.name for site in capture(model, rows(2, 4)).sites] == [
        "softmax_1:input",
        "add:input",
        "add:other",
    ]


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
        (nn.GroupNorm(2, 4), (2, 4, 3), 5 * 24),
        (nn.InstanceNorm1d(4, affine=True), (2, 4, 3), 5 * 24),
        (nn.RMSNorm(6), (2, 4, 6), 4 * 48),
        (nn.GLU(), (2, 4), 2 * 4),
        (nn.Threshold(0.1, 0), (2, 4), 8),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4, 4), 4 * 2 * 3 * 64),
        (made(lambda self, x: x.cumsum(1)), (2, 4), 8),
        (made(lambda self, x: x.topk(2)[0]), (2, 4), 8),
        (made(lambda self, x: x.max(1)[0]), (2, 4), 8),
        (made(lambda self, x: x.var(1, keepdim=True)), (2, 4), 3 * 8),
        (made(lambda self, x: x.norm(dim=1, keepdim=True)), (2, 4), 2 * 8),
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
        lambda self, x: x[:, [2, 0]],
        lambda self, x: x.tril().repeat(1, 2, 1),
        lambda self, x: x.masked_fill(torch.arange(4) > 1, 0.0),
        lambda self, x: torch.where(x > 0, x, 1.0),
        lambda self, x: functional.pixel_shuffle(x.repeat(1, 4, 1).unflatten(1, (4, 3)), 2),
        lambda self, x: functional.pad(x, (1, 1)),
        lambda self, x: x[:, :1].expand(-1, 3, -1).contiguous(),
    ],
)
def test_what_moves_data_is_free_and_fixed(forward):
    operations = capture(made(forward), rows(2, 3, 4)).operations
    assert operations
    for operation in operations:
        assert (operation.status, operation.macs, operation.flops, operation.sites) == ("fixed", 0, 0, {})


def test_add_is_searchable_and_pooling_is_fixed():
    operations = capture(made(lambda self, x: functional.max_pool2d(x + x, 2)), rows(2, 3, 4, 4)).operations
    assert [(o.status, o.flops) for o in operations] == [("searchable", 96), ("fixed", 96)]


@pytest.mark.parametrize(
    ("forward", "op"),
    [
        (lambda self, x: torch.linalg.pinv(x[:, None] * x[..., None]), "linalg_pinv"),
        (lambda self, x: torch.einsum("bi,bi,bi->b", x, x, x), "einsum"),
        (lambda self, x: nn.functional.lp_pool1d(x.lgamma(), 2, 2), "lgamma"),
        (lambda self, x: torch.fft.rfft(x).real.contiguous(), "fft_rfft"),
        (lambda self, x: torch.erfinv(x), "erfinv"),
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


def test_the_page_for_people_names_every_searchable_operation():
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")))
    searchable = {kind.op for kind in KINDS.values() if kind.operands is not KINDS["neg"].operands}
    assert len(searchable) > 40
    assert searchable - named == set()


def test_an_operation_is_a_row_or_free():
    assert FREE.isdisjoint(KINDS)
    aten = torch.ops.aten
    assert [name for name in (*KINDS, *FREE) if not hasattr(aten, name)] == []
