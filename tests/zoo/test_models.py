"""Names, shapes and parameter counts by hand of the zoo's models."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bitfront import zoo

# (factory, input shape of one example, classes, parameters by layer that has any)
CASES = [
    pytest.param(zoo.jsc_tiny, (16,), 5, {"seq_blocks.0": 2 * 16, "seq_blocks.2": 16 * 5 + 5}, id="jsc_tiny"),
    pytest.param(
        zoo.jsc_s,
        (16,),
        5,
        {
            "seq_blocks.0": 2 * 16,
            "seq_blocks.1": 16 * 64 + 64,
            "seq_blocks.2": 2 * 64,
            "seq_blocks.4": 64 * 32 + 32,
            "seq_blocks.5": 2 * 32,
            "seq_blocks.7": 32 * 32 + 32,
            "seq_blocks.8": 2 * 32,
            "seq_blocks.10": 32 * 32 + 32,
            "seq_blocks.11": 2 * 32,
            "seq_blocks.13": 32 * 5 + 5,
        },
        id="jsc_s",
    ),
    pytest.param(
        zoo.jsc_mlp,
        (16,),
        5,
        {"fc1": 16 * 64 + 64, "fc2": 64 * 32 + 32, "fc3": 32 * 32 + 32, "output": 32 * 5 + 5},
        id="jsc_mlp",
    ),
    pytest.param(
        zoo.digits_cnn,
        (1, 8, 8),
        10,
        {
            "conv1": 16 * 1 * 9,
            "norm1": 2 * 16,
            "conv2": 32 * 16 * 9,
            "norm2": 2 * 32,
            "conv3": 32 * 32 * 9,
            "norm3": 2 * 32,
            "head": 32 * 2 * 2 * 10 + 10,
        },
        id="digits_cnn",
    ),
]


@pytest.mark.parametrize(("factory", "example", "classes", "parameters"), CASES)
def test_layers_and_parameters(
    factory: Callable[[], nn.Module], example: tuple[int, ...], classes: int, parameters: dict[str, int]
) -> None:
    model = factory()
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        layer = name.rpartition(".")[0]
        found[layer] = found.get(layer, 0) + parameter.numel()
    assert found == parameters
    assert model(torch.rand(3, *example)).shape == (3, classes)


@pytest.mark.parametrize(
    ("factory", "total"),
    [(zoo.jsc_tiny, 117), (zoo.jsc_s, 5_797), (zoo.jsc_mlp, 4_389), (zoo.digits_cnn, 15_418)],
)
def test_the_docstring_states_the_total(factory: Callable[[], nn.Module], total: int) -> None:
    assert sum(parameter.numel() for parameter in factory().parameters()) == total
    assert f"{total:,} parameters" in (factory.__doc__ or "")


def test_tiny_is_mases_order_of_layers() -> None:
    layers = dict(zoo.jsc_tiny().named_modules())
    kinds = [type(layers[f"seq_blocks.{place}"]) for place in range(4)]
    assert kinds == [nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.ReLU]
    assert "seq_blocks.4" not in layers


def test_weights_follow_the_callers_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(zoo.jsc_s().parameters())

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_digits_cnn_learns_the_digits() -> None:
    torch.manual_seed(0)
    model, splits = zoo.digits_cnn(), zoo.digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, y = splits["train"]
    for _ in range(10):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    model.eval()
    x, y = splits["test"]
    assert (model(x).argmax(dim=1) == y).float().mean() >= 0.97
