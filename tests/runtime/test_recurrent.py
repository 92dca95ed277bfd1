"""What the matrices of recurrent layers are multiplied with, against the same networks written out step by step."""

import pytest
import torch
from torch import Tensor, nn

from bitfront.graph.capture import trace
from bitfront.runtime.compile import compile_plan
from bitfront.runtime.data import Examples
from bitfront.runtime.rounding import second_moments
from tests.graph.modules import made, rows
from tests.graph.test_recurrent import HIDDEN, INPUTS, LAYERS, STEPS, Unrolled

COUNT = 11


def _moments(model: nn.Module, x: Tensor) -> dict[str, tuple[Tensor, int]]:
    program = trace(model, x)
    sites = [site.name for site in program.graph.sites if site.is_parameter]
    found = second_moments(compile_plan(program), Examples((x,), None), 4, sites)
    return {site: (moments.products, moments.rows) for site, moments in found.items()}


def _seen_from_outside(layer: nn.RNNBase) -> set[str]:
    last = layer.num_layers - 1
    suffixes = ("", "_reverse") if layer.bidirectional else ("",)
    return {f"weight_{place}{suffix}" for place in ("ih_l0", f"hh_l{last}") for suffix in suffixes}


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_moments_are_those_of_the_network_written_out(name: str) -> None:
    torch.manual_seed(0)
    layer, x = LAYERS[name]().eval(), rows(COUNT, STEPS, INPUTS)
    ours = _moments(made(lambda self, x: self.rnn(x)[0], rnn=layer), x)
    theirs = _moments(Unrolled(layer), x)
    assert {site.partition(":")[2] for site in ours} == _seen_from_outside(layer)
    for site, (products, count) in ours.items():
        expected, expected_count = theirs[f"{site.partition(':')[2]}:weight"]
        assert count == expected_count == COUNT * STEPS
        torch.testing.assert_close(products, expected, rtol=1e-4, atol=1e-4)


def test_a_state_from_outside_is_the_first_row() -> None:
    torch.manual_seed(0)
    layer, x = nn.GRU(INPUTS, HIDDEN), rows(COUNT, 1, INPUTS)
    start = nn.Linear(INPUTS, HIDDEN)
    model = made(
        lambda self, x: self.rnn(x.transpose(0, 1), self.start(x[:, 0])[None])[0].transpose(0, 1),
        rnn=layer,
        start=start,
    )
    products, _ = _moments(model, x)["rnn:weight_hh_l0"]
    with torch.no_grad():
        state = start(x[:, 0]).double()
    torch.testing.assert_close(products, state.T @ state, rtol=1e-5, atol=1e-5)
