"""Counts and outputs of whole architectures, against torch and fvcore."""

import logging
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bitfront.costs.flops import flops
from bitfront.graph.capture import Program, trace
from bitfront.graph.model import Graph
from bitfront.runtime.compile import compile_plan
from bitfront.space import FLOAT
from tests.models.zoo import CASES, shared_models

# torch counts convolutions, products and attention, and nothing else.
RECURRENT = {"lstm", "gru", "rnn"}
COUNTED_BY_TORCH = {"linear", "matmul", "einsum", *RECURRENT}


def _made(name: str) -> tuple[nn.Module, object]:
    torch.manual_seed(0)
    case = CASES[name]
    return case.make().eval(), case.inputs(3)


def _call(model: nn.Module, inputs):
    with torch.no_grad():
        found = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return found["logits"] if isinstance(found, dict) else found


def _macs(graph: Graph) -> int:
    return sum(operation.macs for operation in graph.operations)


def _torch_flops(model: nn.Module, inputs) -> int:
    """Counted where torch can see it: its fast paths on a CPU hide attention, and oneDNN hides LSTMs."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            FlopCounterMode(display=False) as counter,
            sdpa_kernel(SDPBackend.MATH),
            warnings.catch_warnings(action="ignore"),  # oneDNN's, about settings of other machines
            torch.backends.mkldnn.flags(enabled=False),
        ):
            _call(model, inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


def _program(name: str) -> tuple[nn.Module, object, Program]:
    model, inputs = _made(name)
    return model, inputs, trace(model, inputs)


@pytest.mark.parametrize("name", CASES)
def test_the_float_model_is_the_module(name):
    model, inputs, program = _program(name)
    tensors = tuple(inputs.values()) if isinstance(inputs, dict) else (inputs,)
    found = compile_plan(program).run(tensors, {}, {})
    assert torch.allclose(found, _call(model, inputs), atol=1e-5)
    assert tuple(o.op for o in program.graph.unknown) == CASES[name].unknown


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.unknown])
def test_flops_at_two_per_mac_are_torchs(name):
    model, inputs, program = _program(name)
    assert 2 * _macs(program.graph) == _torch_flops(model, inputs)
    others = sum(operation.flops for operation in program.graph.operations)
    assert flops(per_mac=2)(program.graph, FLOAT) == 2 * _macs(program.graph) + others
    sums = [o for o in program.graph.operations if o.macs]
    assert all(o.op in COUNTED_BY_TORCH or o.op.startswith("conv") for o in sums)
    plain = [o for o in sums if "transpose" not in o.op and o.op not in RECURRENT]
    assert all(o.macs == o.output_elements * o.fan_in for o in plain)


class Positional(nn.Module):
    """For fvcore, which gives inputs in order and wants tensors back."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        found = (
            self.model(**dict(zip(self.names, inputs, strict=True))) if self.names else self.model(*inputs)
        )
        return found["logits"] if isinstance(found, dict) else found


# fvcore doesn't know torch's fused attention, the fast path of MultiheadAttention hides all of it, and of recurrent
# layers fvcore counts nothing.
NOT_BY_FVCORE = ("lstm", "lstm_deep", "gru", "rnn", "vit_torch", "vit_fused")


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_BY_FVCORE])
def test_macs_are_fvcores(name):
    fvcore = pytest.importorskip("fvcore.nn")
    model, inputs, program = _program(name)
    names = tuple(inputs) if isinstance(inputs, dict) else ()
    tensors = tuple(inputs.values()) if isinstance(inputs, dict) else (inputs,)
    logging.getLogger("fvcore").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is old
        counted = fvcore.FlopCountAnalysis(Positional(model, names), tensors).by_operator()
    sums = ("conv", "linear", "matmul", "einsum", "bmm", "addmm")
    assert sum(count for op, count in counted.items() if op in sums) == _macs(program.graph)


def test_resnet20_and_the_trained_mlps(shared_data):
    models = shared_models(shared_data)
    for model, x in (
        (models.resnet20(), torch.randn(2, 3, 32, 32)),
        (models.letter_mlp(), torch.randn(2, 16)),
        (models.dry_bean_mlp(), torch.randn(2, 16)),
    ):
        graph = trace(model.eval(), x).graph
        assert 2 * _macs(graph) == _torch_flops(model.eval(), x)
        assert not graph.unknown


def test_depthwise_convolutions_by_hand():
    _, _, program = _program("mobile_net")
    macs = {o.name: o.macs for o in program.graph.operations}
    assert macs["1.depthwise.0"] == 3 * 16 * 8 * 8 * 9
    assert macs["1.widen.0"] == 3 * 16 * 8 * 8 * 8
    assert macs["1.gate.reduce"] == 3 * 4 * 16


def test_the_tied_embedding_is_one_site_and_one_parameter():
    _, _, program = _program("language_model")
    graph = program.graph
    assert graph.site["embed:weight"].channel == 0
    head = next(o for o in reversed(graph.operations) if o.macs)
    assert head.sites == {"input": f"{head.name}:input", "weight": "embed:weight"}
    assert [p.name for p in graph.parameters].count("embed.weight") == 1
    assert "head" not in {p.name for p in graph.parameters}
