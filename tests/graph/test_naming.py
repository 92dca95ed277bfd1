"""A layer is named by its module path, a functional operation by module path and op."""

import pytest
import torch.nn.functional as functional
from torch import nn

from bitfront.graph.capture import capture
from tests.graph.modules import made, rows

X = rows(4, 16)


def _names(model, *inputs):
    names = [operation.name for operation in capture(model, inputs or X).operations]
    assert len(set(names)) == len(names)
    return names


def test_layers_by_module_path():
    model = nn.Sequential(
        nn.Sequential(nn.Linear(16, 4), nn.ReLU()), nn.Linear(4, 4), nn.Flatten(), nn.Dropout()
    )
    assert _names(model) == ["0.0", "0.1", "1", "2", "3"]


def test_functional_operations_by_path_and_op_numbered():
    block = made(lambda self, x: functional.relu(self.fc(x).relu() + x), fc=nn.Linear(16, 16))
    model = made(lambda self, x: self.block(x).relu().relu().tanh(), block=block)
    assert _names(model) == ["block.fc", "block/relu", "block/add", "block/relu_1", "relu", "relu_1", "tanh"]


def test_a_leaf_that_does_two_things():
    leaf = made(lambda self, x: functional.linear(x, self.w).relu(), w=nn.Parameter(rows(4, 16)))
    assert _names(made(lambda self, x: self.leaf(x), leaf=leaf)) == ["leaf/linear", "leaf/relu"]


def test_a_leaf_that_moves_data_around_its_one_operation():
    model = nn.Sequential(nn.Conv1d(3, 6, 3, padding="same", padding_mode="circular"))
    assert _names(model, rows(4, 3, 8)) == ["0/pad", "0"]


def test_a_module_with_others_deep_inside_is_no_leaf():
    inner = made(lambda self, x: self.c(x), c=nn.Linear(16, 4))
    outer = made(lambda self, x: self.b(x) + 1, b=inner)
    assert _names(made(lambda self, x: self.a(x), a=outer)) == ["a.b.c", "a/add"]


@pytest.mark.parametrize(("root", "name"), [(nn.Linear(16, 4), "linear"), (nn.ReLU(), "relu")])
def test_the_root_itself(root, name):
    assert _names(root) == [name]


def test_a_layer_called_again():
    model = made(
        lambda self, x: self.fc2(self.fc2(self.fc1(x)).relu()), fc1=nn.Linear(16, 4), fc2=nn.Linear(4, 4)
    )
    assert _names(model) == ["fc1", "fc2", "relu", "fc2@1"]


def test_a_block_called_again():
    block = made(lambda self, x: self.fc(self.fc(x).relu()).relu(), fc=nn.Linear(16, 16))
    model = made(lambda self, x: self.block(self.block(x)), block=block)
    first = ["block.fc", "block/relu", "block.fc@1", "block/relu_1"]
    assert _names(model) == [*first, "block.fc@2", "block/relu@1", "block.fc@3", "block/relu_1@1"]


def test_one_module_under_two_paths():
    relu = nn.ReLU()
    assert _names(nn.Sequential(nn.Linear(16, 4), relu, nn.Linear(4, 4), relu)) == ["0", "1", "2", "3"]


def test_layers_keep_their_names_from_functional_operations():
    model = made(
        lambda self, x: self.add(self.relu(self.relu_1(x.relu().relu()).relu())) + x,
        relu=nn.ReLU(),
        relu_1=nn.ReLU(),
        add=nn.Linear(16, 16),
    )
    assert _names(model) == ["relu_2", "relu_3", "relu_1", "relu_4", "relu", "add", "add_1"]
    graph = capture(model, X)
    assert {o.name: o.op for o in graph.operations}["add"] == "linear"


def test_custom_operations_are_named_with_their_library(custom_double):
    assert _names(made(lambda self, x: custom_double(x.relu()))) == ["relu", "bitfront_tests.double"]
