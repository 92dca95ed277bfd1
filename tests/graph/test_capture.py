"""Capturing: the figures of the design, real networks, and that the user's module is left alone."""

import copy
import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bitfront.errors import ModelError
from bitfront.graph.capture import capture
from bitfront.zoo import digits_cnn, jsc_s, jsc_tiny
from tests.graph.modules import made, rows


def _torch_macs(model, *inputs):
    """Outside oracle: torch counts two operations for each multiply-accumulate."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(*inputs)
    return counter.get_total_flops() // 2


def test_jsc_tiny_gives_the_figures_of_the_design():
    operations = capture(jsc_tiny(), rows(8, 16)).operations
    assert [o.name for o in operations] == [f"seq_blocks.{i}" for i in range(4)]
    assert [o.op for o in operations] == ["batch_norm", "relu", "linear", "relu"]
    assert [o.macs + o.flops for o in operations] == [512, 128, 640, 40]
    assert [2 * o.macs + o.backward_flops for o in operations] == [512, 128, 1280, 40]
    assert [o.input_elements for o in operations] == [128, 128, 128, 40]
    assert [o.output_elements for o in operations] == [128, 128, 40, 40]
    assert [o.parameter_elements() for o in operations] == [32, 0, 85, 0]
    linear = operations[2]
    assert (linear.parameter_elements("weight"), linear.parameter_elements("bias")) == (80, 5)
    assert (linear.macs, linear.fan_in, linear.flops) == (640, 16, 0)


def test_jsc_tiny_sites():
    graph = capture(jsc_tiny(), rows(8, 16))
    assert {site.name: (site.shape, site.channel, site.reduction) for site in graph.sites} == {
        "seq_blocks.0:input": ((8, 16), None, (1,)),
        "seq_blocks.0:weight": ((16,), None, (0,)),
        "seq_blocks.0:bias": ((16,), None, (0,)),
        "seq_blocks.1:input": ((8, 16), None, (-1,)),
        "seq_blocks.2:input": ((8, 16), None, (-1,)),
        "seq_blocks.2:weight": ((5, 16), 0, (1,)),
        "seq_blocks.2:bias": ((5,), None, (0,)),
        "seq_blocks.3:input": ((8, 5), None, (-1,)),
    }
    assert graph.site["seq_blocks.2:weight"].tensor == "seq_blocks.2.weight"
    assert not graph.unknown
    assert (graph.model, graph.batch_size) == ("Sequential", 8)
    assert [value.shape for value in (*graph.inputs, *graph.outputs)] == [(8, 16), (8, 5)]


@pytest.mark.parametrize(
    ("factory", "shape"), [(jsc_tiny, (3, 16)), (jsc_s, (3, 16)), (digits_cnn, (3, 1, 8, 8))]
)
def test_macs_of_the_zoo_are_torchs(factory, shape):
    model, inputs = factory(), rows(*shape)
    assert sum(o.macs for o in capture(model, inputs).operations) == _torch_macs(model, inputs)


def test_resnet20(shared_data):
    spec = importlib.util.spec_from_file_location("shared_models", shared_data / "models.py")
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    model, image = models.resnet20(), rows(1, 3, 32, 32)
    graph = capture(model, image)
    macs = sum(operation.macs for operation in graph.operations)
    assert macs == 40_551_040 == _torch_macs(model, image)
    assert sum(p.elements for p in graph.parameters if p.trained) == sum(
        p.numel() for p in model.parameters()
    )
    assert sum(operation.op == "conv2d" for operation in graph.operations) == 19
    assert {"layer2.0.conv1", "layer1.0/add", "layer2.0.shortcut/pad", "linear"} <= {
        operation.name for operation in graph.operations
    }
    assert not graph.unknown


def _at_batch(graph, size):
    """The graph with every leading batch axis and every count of one example scaled to another batch size."""

    def scaled(value):
        return replace(value, shape=(size, *value.shape[1:]))

    def scale(count):
        assert count % graph.batch_size == 0
        return count // graph.batch_size * size

    def operation(found):
        return replace(
            found,
            inputs=tuple(map(scaled, found.inputs)),
            outputs=tuple(map(scaled, found.outputs)),
            macs=scale(found.macs),
            flops=scale(found.flops),
            backward_flops=scale(found.backward_flops),
        )

    return replace(
        graph,
        batch_size=size,
        operations=tuple(map(operation, graph.operations)),
        sites=tuple(site if site.is_parameter else scaled(site) for site in graph.sites),
        inputs=tuple(map(scaled, graph.inputs)),
        outputs=tuple(map(scaled, graph.outputs)),
    )


@pytest.mark.parametrize("size", [1, 2, 7, 16, 512])
def test_batch_sizes_give_the_same_graph_but_for_the_batch(size):
    model = made(
        lambda self, x: self.head((self.conv(x) + x).relu().flatten(1)),
        conv=nn.Conv2d(2, 2, 3, padding=1),
        head=nn.Linear(32, 3),
    )
    assert capture(model, rows(size, 2, 4, 4)) == _at_batch(capture(model, rows(4, 2, 4, 4)), size)


def test_the_module_is_left_as_it_was():
    model = jsc_s().train()
    model[0][1].eval()
    before, flags = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    identities = [id(p) for p in model.parameters()]
    capture(model, rows(8, 16))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert [id(p) for p in model.parameters()] == identities
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks


def test_a_module_in_training_is_captured_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Dropout(0.5))
    assert capture(model.train(), rows(8, 16)) == capture(model.eval(), rows(8, 16))


def test_several_inputs():
    model = made(lambda self, x, y: self.fc(x) + y, fc=nn.Linear(16, 4))
    graph = capture(model, (rows(6, 16), rows(6, 4)), name="two")
    assert graph.model == "two"
    assert [value.shape for value in graph.inputs] == [(6, 16), (6, 4)]
    assert [o.name for o in graph.operations] == ["fc", "add"]


def test_one_tensor_given_twice():
    model = made(lambda self, x, y: self.fc(x) + y, fc=nn.Linear(16, 16))
    x = rows(6, 16)
    assert [value.name for value in capture(model, (x, x)).inputs] == ["inputs_0", "inputs_1"]


def test_a_saved_program_keeps_its_names(tmp_path):
    program = torch.export.export(
        jsc_tiny().eval(), (rows(8, 16),), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    )
    torch.export.save(program, tmp_path / "model.pt2")
    again = capture(
        torch.export.load(tmp_path / "model.pt2").module(check_guards=False), rows(8, 16), "loaded"
    )
    assert again == replace(capture(jsc_tiny(), rows(8, 16)), model="loaded")


@pytest.mark.parametrize(
    "inputs",
    [(), (rows(3, 2), rows(4, 2)), (rows(0, 2),), (torch.tensor(1.0),), (rows(3, 2), torch.tensor(1.0))],
    ids=["none", "different", "empty", "scalar", "mixed"],
)
def test_inputs_without_one_batch(inputs):
    with pytest.raises(ModelError, match="first axis of every input must be one and the same batch"):
        capture(made(lambda self, *x: x[0]), inputs)


def test_a_module_that_cannot_be_copied():
    model = nn.Linear(2, 2)
    del model._parameters["weight"]
    model.weight = torch.ones(2, 2, requires_grad=True) * 2  # as torch.nn.utils.weight_norm leaves it
    with pytest.raises(ModelError, match="Linear can't be copied: Only Tensors created explicitly"):
        capture(model, rows(4, 2))
