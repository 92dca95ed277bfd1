"""Recurrent layers: counts against the same networks written out step by step, sites, and names of their roles."""

import pytest
import torch
from torch import Tensor, nn

from bitfront.costs.bit_ops import bit_ops, bops
from bitfront.costs.bits import average_bits
from bitfront.costs.flops import backward_flops, flops, macs
from bitfront.costs.size import size
from bitfront.graph.capture import capture, trace
from bitfront.graph.counting import Call
from bitfront.graph.operations import KINDS
from bitfront.space import FLOAT, Assignment
from tests.graph.modules import made, rows

STEPS, INPUTS, HIDDEN = 5, 3, 6


class Unrolled(nn.Module):
    """A recurrent layer as linear layers, sums, products and activations: one module for each, used in every step.

    The formulas are those on the pages of `torch.nn.LSTM`, `GRU` and `RNN`.
    """

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.mode, self.hidden = layer.mode, layer.hidden_size
        self.suffixes = ("", "_reverse") if layer.bidirectional else ("",)
        self.layers, self.first = layer.num_layers, layer.batch_first
        self.projected = bool(layer.proj_size)
        for name, weight in layer.named_parameters():
            if name.startswith("weight"):
                linear = nn.Linear(*reversed(weight.shape), bias=layer.bias and "_hr" not in name)
                linear.weight = nn.Parameter(weight.detach().clone())
                if linear.bias is not None:
                    bias = layer.get_parameter(name.replace("weight", "bias"))
                    linear.bias = nn.Parameter(bias.detach().clone())
                setattr(self, name, linear)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.first else x.transpose(0, 1)
        for layer in range(self.layers):
            x = torch.cat([self._pass(x, f"l{layer}{suffix}") for suffix in self.suffixes], -1)
        return x

    def _pass(self, x: Tensor, place: str) -> Tensor:
        entering, held = (self.get_submodule(f"weight_{kind}_{place}") for kind in ("ih", "hh"))
        h, c = x.new_zeros(x.shape[0], held.in_features), x.new_zeros(x.shape[0], self.hidden)
        found = []
        times = range(x.shape[1])
        for time in reversed(times) if "reverse" in place else times:
            h, c = self._step(entering(x[:, time]), held(h), h, c)
            if self.projected:
                h = self.get_submodule(f"weight_hr_{place}")(h)
            found.append(h)
        return torch.stack(found[::-1] if "reverse" in place else found, 1)

    def _step(self, given: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        if self.mode == "LSTM":
            i, f, g, o = (given + kept).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c
        if self.mode == "GRU":
            (rx, zx, nx), (rh, zh, nh) = given.chunk(3, -1), kept.chunk(3, -1)
            r, z = (rx + rh).sigmoid(), (zx + zh).sigmoid()
            return (1 - z) * (nx + r * nh).tanh() + z * h, c
        return ((given + kept).tanh() if self.mode == "RNN_TANH" else (given + kept).relu()), c


LAYERS = {
    "lstm": lambda: nn.LSTM(INPUTS, HIDDEN, batch_first=True),
    "deep two-way lstm": lambda: nn.LSTM(INPUTS, HIDDEN, 2, batch_first=True, bidirectional=True),
    "lstm without biases": lambda: nn.LSTM(INPUTS, HIDDEN, 2, bias=False, batch_first=True, dropout=0.5),
    "projected lstm": lambda: nn.LSTM(INPUTS, HIDDEN, 2, batch_first=True, bidirectional=True, proj_size=4),
    "gru": lambda: nn.GRU(INPUTS, HIDDEN, batch_first=True),
    "deep two-way gru": lambda: nn.GRU(INPUTS, HIDDEN, 3, batch_first=True, bidirectional=True),
    "rnn": lambda: nn.RNN(INPUTS, HIDDEN, batch_first=True),
    "relu rnn": lambda: nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", bias=False, batch_first=True),
}
COSTS = (macs(), flops(), flops(per_mac=2), backward_flops(), bit_ops(), bops(), size(), average_bits())


def _layer(name: str) -> nn.RNNBase:
    torch.manual_seed(0)
    return LAYERS[name]().eval()


def _alone(layer: nn.RNNBase) -> nn.Module:
    """The layer without the states behind the last step."""
    return made(lambda self, x: self.rnn(x)[0], rnn=layer)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_the_oracle_computes_the_same(name):
    layer, x = _layer(name), rows(4, STEPS, INPUTS)
    torch.testing.assert_close(Unrolled(layer)(x), layer(x)[0])


@pytest.mark.parametrize("name", LAYERS)
def test_costs_are_those_of_the_network_written_out(name):
    layer, x = _layer(name), rows(4, STEPS, INPUTS)
    graph, written = capture(_alone(layer), x), capture(Unrolled(layer), x)
    assert not graph.unknown
    for cost in COSTS:
        assert cost(graph, FLOAT) == cost(written, FLOAT), cost.metric.name


@pytest.mark.parametrize("name", LAYERS)
def test_formats_cost_what_they_cost_in_the_network_written_out(name):
    layer, x = _layer(name), rows(4, STEPS, INPUTS)
    graph, written = capture(_alone(layer), x), capture(Unrolled(layer), x)
    formats = {
        "weight_ih": "int8c",
        "weight_hh": "int4c",
        "weight_hr": "int3",
        "bias_ih": "int8",
        "bias_hh": "int6",
    }
    chosen = {s.name: formats["_".join(s.role.split("_")[:2])] for s in graph.sites if s.role != "input"}
    same: dict[str, str] = {}
    for site, name_ in chosen.items():
        role = site.partition(":")[2]
        kind, _, place = role.partition("_")
        same[f"weight_{place}:{kind}"] = name_
    entering = [s.name for s in written.sites if s.role == "input" and s.layer.startswith("weight_ih_l0")]
    both = (
        Assignment.of(chosen | {"rnn:input": "int5"}),
        Assignment.of(same | dict.fromkeys(entering, "int5")),
    )
    for cost in COSTS:
        assert cost(graph, both[0]) == cost(written, both[1]), cost.metric.name
        assert cost(graph, both[0]) <= cost(graph, FLOAT)
    assert bops()(graph, both[0]) < bops()(graph, FLOAT)


def test_macs_and_flops_of_one_layer_by_hand():
    gates, batch = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1}, 4
    for name, others in (("lstm", 13), ("gru", 11), ("rnn", 2)):
        layer = _layer(name)
        graph = capture(_alone(layer), rows(batch, STEPS, INPUTS))
        (operation,) = [o for o in graph.operations if o.macs]
        expected = batch * STEPS * gates[layer.mode] * (INPUTS * HIDDEN + HIDDEN * HIDDEN)
        assert (operation.op, operation.macs) == (name, expected)
        assert operation.flops == operation.backward_flops == batch * STEPS * HIDDEN * others
        assert operation.fan_in == INPUTS + HIDDEN


def test_every_stored_tensor_is_a_site_by_its_name():
    layer = _layer("deep two-way lstm")
    graph = capture(_alone(layer), rows(4, STEPS, INPUTS))
    assert [site.name for site in graph.sites] == [
        "rnn:input",
        *(f"rnn:{n}" for n, _ in layer.named_parameters()),
    ]
    for name, parameter in layer.named_parameters():
        site = graph.site[f"rnn:{name}"]
        assert site.is_parameter
        assert (site.tensor, site.shape) == (f"rnn.{name}", tuple(parameter.shape))
        assert (site.channel, site.reduction) == ((0, (1,)) if "weight" in name else (None, (0,)))
    (operation,) = [o for o in graph.operations if o.macs]
    assert operation.status == "searchable"
    assert {p.role for p in operation.parameters} == {"weight", "bias"}
    assert operation.parameter_elements("bias") == sum(
        p.numel() for n, p in layer.named_parameters() if "bias" in n
    )


def test_the_batch_may_be_the_second_axis():
    layer = nn.GRU(INPUTS, HIDDEN)
    turned = made(lambda self, x: self.rnn(x.transpose(0, 1))[0].transpose(0, 1), rnn=layer)
    graph = capture(turned, rows(4, STEPS, INPUTS))
    straight = capture(_alone(_layer("gru")), rows(4, STEPS, INPUTS))
    assert macs()(graph, FLOAT) == macs()(straight, FLOAT)
    assert flops()(graph, FLOAT) == flops()(straight, FLOAT)


def test_a_state_from_outside_stays_in_float():
    model = made(
        lambda self, x: self.rnn(x, self.start(x[:, 0])[None])[0], rnn=_layer("gru"), start=nn.Linear(3, 6)
    )
    graph = capture(model, rows(4, STEPS, INPUTS))
    (operation,) = [o for o in graph.operations if o.op == "gru"]
    assert [role for role in operation.sites if "weight" not in role and "bias" not in role] == ["input"]
    assert len(operation.inputs) == 2


def test_a_stored_first_state_is_a_parameter_without_a_site():
    model = made(
        lambda self, x: self.rnn(x, self.state.expand(1, x.shape[0], -1).contiguous())[0],
        rnn=_layer("gru"),
        state=nn.Parameter(rows(1, 1, HIDDEN)),
    )
    graph = capture(model, rows(4, STEPS, INPUTS))
    assert "state" in {p.name for p in graph.parameters}
    assert "state" not in {s.tensor for s in graph.sites}


def test_layers_that_share_their_tensors_share_their_sites():
    layer = _layer("lstm")
    model = made(
        lambda self, x: self.again(self.down(self.rnn(x)[0]))[0], rnn=layer, down=nn.Linear(6, 3), again=layer
    )
    graph = capture(model, rows(4, STEPS, INPUTS))
    first, second = [o for o in graph.operations if o.op == "lstm"]
    assert {r: s for r, s in first.sites.items() if r != "input"} == {
        r: s for r, s in second.sites.items() if r != "input"
    }
    assert first.sites["input"] != second.sites["input"]


def test_a_layer_with_half_of_its_tensors_tied():
    layer = _layer("deep two-way lstm")
    layer.weight_hh_l0_reverse = layer.weight_hh_l0
    graph = capture(_alone(layer), rows(4, STEPS, INPUTS))
    (operation,) = [o for o in graph.operations if o.macs]
    assert operation.sites["weight_hh_l0_reverse"] == "rnn:weight_hh_l0"
    assert [p.name for p in graph.parameters].count("rnn.weight_hh_l0") == 1


def test_tensors_that_are_computed_have_no_site():
    """A weight that is made from others on the way is in float."""
    layer = nn.utils.parametrizations.weight_norm(_layer("lstm"), "weight_hh_l0")
    graph = capture(_alone(layer), rows(4, STEPS, INPUTS))
    (operation,) = [o for o in graph.operations if o.op == "lstm"]
    assert "weight_hh_l0" not in operation.sites
    assert operation.macs == 4 * STEPS * 4 * (INPUTS * HIDDEN + HIDDEN**2)
    half = Assignment.of({operation.sites["input"]: "int8", operation.sites["weight_ih_l0"]: "int8"})
    steps = 4 * STEPS * 4
    assert bops()(graph, half) == steps * INPUTS * HIDDEN * 64 + steps * HIDDEN**2 * 1024


def _call(stored: int, **shapes: tuple[int, ...]) -> Call:
    """Of an LSTM of one layer with biases, with so many stored tensors."""
    given = {"num_layers": 1, "bidirectional": False, "has_biases": True}
    params = {f"params.{number}": (24, 6) if number < 2 else (24,) for number in range(stored)}
    return Call({**shapes, **params}, given, (4, STEPS, HIDDEN))


def test_calls_of_another_form_are_unknown():
    lstm = KINDS["lstm"]
    assert lstm.knows(_call(4, input=(4, STEPS, INPUTS)))
    assert lstm.knows(_call(5, input=(4, STEPS, INPUTS)))  # projected
    assert not lstm.knows(_call(3, input=(4, STEPS, INPUTS)))
    assert not lstm.knows(_call(4, data=(20, INPUTS), batch_sizes=(5,)))  # packed sequences


def test_no_tensor_of_the_list_is_quantized_as_an_input():
    program = trace(_alone(_layer("lstm")), rows(4, STEPS, INPUTS))
    assert [place for _, place in program.quantized] == ["input"]
