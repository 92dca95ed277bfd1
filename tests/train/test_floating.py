"""The training loop: seeded, and it copes with data of any size."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bitfront.errors import DataError, ModelError
from bitfront.runtime.data import Examples
from bitfront.train import Epoch, Settings, accuracy, fit, save_weights
from bitfront.train.losses import Task


def examples(count: int) -> Examples:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return Examples((x,), x[:, :3].argmax(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def test_it_learns_and_repeats() -> None:
    states = []
    for _ in range(2):
        model, epochs = network(), list[Epoch]()
        last = fit(model, examples(200), examples(100), Settings(20, 0.02, 32, 0), epochs.append)
        assert last == epochs[-1]
        assert [epoch.number for epoch in epochs] == list(range(1, 21))
        assert last.accuracy == accuracy(model, examples(100)) > 0.9
        assert last.loss < epochs[0].loss
        assert not model.training
        states.append(model.state_dict())
    assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())


@pytest.mark.parametrize(("count", "batch_size"), [(65, 64), (2, 64), (3, 2), (64, 64), (9, 2)])
def test_a_single_example_left_over_is_no_batch(count: int, batch_size: int) -> None:
    last = fit(network(), examples(count), examples(10), Settings(2, 0.01, batch_size, 0))
    assert last.number == 2


def test_what_can_not_be_trained() -> None:
    data, settings = examples(20), Settings(1, 0.01, 8, 0)
    with pytest.raises(DataError, match="needs labels"):
        fit(network(), Examples(data.inputs, None), data, settings)
    assert data.targets is not None
    with pytest.raises(DataError, match="labels lie in 1 … 3"):
        fit(network(), Examples(data.inputs, data.targets + 1), data, settings)

    class Pair(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    with pytest.raises(ModelError, match="returns 2 tensors; say which"):
        fit(Pair(), data, data, settings)


def test_weights_are_saved_whole(tmp_path: Path) -> None:
    model = network()
    assert isinstance(model, nn.Sequential)
    model.append(model[0])  # a shared tensor is saved under both names
    save_weights(model, tmp_path / "new" / "w.safetensors")
    found = load_file(tmp_path / "new" / "w.safetensors")
    assert set(found) == set(model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


class ByName(nn.Module):
    """Takes its inputs by name, and returns several things."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 8), nn.Linear(2, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.relu(self.first(left) + self.second(right))
        return {"hidden": hidden, "logits": self.head(hidden)}


def test_inputs_by_name_and_one_of_several_outputs() -> None:
    whole = examples(200)
    assert whole.targets is not None
    data = Examples((whole.inputs[0][:, 2:], whole.inputs[0][:, :2]), whole.targets, ("right", "left"))
    torch.manual_seed(0)
    kept = fit(ByName(), data, data, Settings(30, 0.02, 32, 0))  # logits are taken where nothing is said
    assert kept.accuracy > 0.9
    with pytest.raises(ModelError, match="returns no 'logit' \\(did you mean 'logits'"):
        fit(ByName(), data, data, Settings(1, 0.02, 32, 0), output="logit")


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 12), nn.Linear(12, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(tokens))


def test_next_tokens() -> None:
    """A sequence that counts up modulo 5: the next token follows from the last one, padding aside."""
    starts = torch.randint(0, 5, (40, 1), generator=torch.Generator().manual_seed(0))
    tokens = (starts + torch.arange(6)) % 5
    labels = tokens.clone()
    labels[::3, 4:] = -100
    data = Examples((tokens,), labels)
    torch.manual_seed(0)
    kept = fit(Reader(), data, data, Settings(40, 0.05, 16, 0), task=Task(next_token=True))
    assert kept.accuracy == 1.0
    torch.manual_seed(0)
    same_token = fit(
        Reader(), Examples((tokens,), tokens), Examples((tokens,), tokens), Settings(40, 0.05, 16, 0)
    )
    assert same_token.accuracy == 1.0  # without the shift it learns to repeat its input
    with pytest.raises(DataError, match="token ids"):
        fit(
            Reader(),
            Examples((tokens,), tokens + 3),
            data,
            Settings(1, 0.05, 16, 0),
            task=Task(next_token=True),
        )
