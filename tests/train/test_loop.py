"""The loop under every optimizer and schedule: a break in it leaves no trace, and the best epoch is found."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bitfront.errors import DataError, RunError
from bitfront.runtime.data import Examples
from bitfront.train import Epoch, Settings, TrainingError, epochs_done, fit


def examples(count: int = 120, seed: int = 0) -> Examples:
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return Examples((x,), x[:, :3].argmax(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def state_after(
    settings: Settings, checkpoint: Path | None = None, stop_after: int = 0
) -> dict[str, torch.Tensor]:
    model = network()

    def watch(epoch: Epoch) -> None:
        if epoch.number == stop_after:
            raise KeyboardInterrupt

    torch.manual_seed(torch.seed())  # whatever torch's own generator stands at must not matter
    fit(model, examples(), examples(60, 1), settings, watch, checkpoint=checkpoint, key="k")
    return model.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_a_break_leaves_no_trace(tmp_path: Path, optimizer, schedule) -> None:
    settings = Settings(5, 0.01, 32, 3, optimizer, schedule, weight_decay=0.01, keep="best")
    whole = state_after(settings)
    for stop in (1, 3, 5):
        path = tmp_path / f"{stop}"
        with pytest.raises(KeyboardInterrupt):
            state_after(settings, path, stop)
        told = list[Epoch]()
        model = network()
        fit(model, examples(), examples(60, 1), settings, told.append, checkpoint=path, key="k")
        assert [epoch.number for epoch in told] == list(range(stop + 1, 6))
        assert same(whole, model.state_dict())


def test_a_checkpoint_of_another_training_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with pytest.raises(KeyboardInterrupt):
        state_after(Settings(5, 0.01, 32, 0), path, 2)
    for settings, key in ((Settings(5, 0.02, 32, 0), "k"), (Settings(5, 0.01, 32, 0), "other data")):
        told = list[Epoch]()
        fit(network(), examples(), examples(), settings, told.append, checkpoint=path, key=key)
        assert told[0].number == 1
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="is damaged"):
        fit(network(), examples(), examples(), Settings(5, 0.01, 32, 0), checkpoint=path)


def test_the_seed_orders_the_examples_and_drops() -> None:
    first, second, again = (state_after(Settings(2, 0.01, 32, seed)) for seed in (0, 1, 0))
    assert same(first, again)
    assert not same(first, second)


def test_schedules_and_optimizers_differ() -> None:
    found = [
        state_after(Settings(2, 0.01, 32, 0, optimizer, schedule, 0.1))["0.weight"]
        for optimizer in ("adam", "adamw", "sgd")
        for schedule in ("one-cycle", "cosine", "constant")
    ]
    assert len({tuple(weight.flatten().tolist()) for weight in found}) == 9


def test_the_best_epoch_is_kept_and_none_after_patience() -> None:
    told = list[Epoch]()
    model = network()
    settings = Settings(60, 0.05, 32, 0, schedule="constant", patience=4, keep="best")
    kept = fit(model, examples(), examples(60, 1), settings, told.append)
    assert len(told) < 60
    assert len(told) - kept.number == 4
    assert kept.accuracy == max(epoch.accuracy for epoch in told)
    assert not any(epoch.better_than(kept) for epoch in told)
    model.eval()
    right = model(examples(60, 1).inputs[0]).argmax(1) == examples(60, 1).targets
    assert right.float().mean().item() == pytest.approx(kept.accuracy)


def test_equal_accuracies_are_told_apart_by_the_loss() -> None:
    assert Epoch(1, 0.0, 0.9, 0.3).better_than(Epoch(2, 0.0, 0.9, 0.4))
    assert not Epoch(1, 0.0, 0.9, 0.3).better_than(Epoch(2, 0.0, 0.9, 0.3))
    assert Epoch(1, 0.0, 0.91, 0.9).better_than(Epoch(2, 0.0, 0.9, 0.3))
    assert not Epoch(1, 0.0).better_than(Epoch(2, 0.0, 0.9, 0.3))


def test_what_a_tracker_is_told() -> None:
    assert Epoch(3, 0.5, 0.9, 0.4).scalars == {"train_loss": 0.5, "accuracy": 0.9, "loss": 0.4}
    assert Epoch(3, 0.5).scalars == {"train_loss": 0.5}


def test_training_that_diverges_is_an_error() -> None:
    with pytest.raises(DataError, match=r"loss became (NaN|infinite) in epoch \d+; try a smaller"):
        fit(network(), examples(), examples(), Settings(9, 1e30, 32, 0, "sgd", "constant"))


def test_steps_end_within_an_epoch() -> None:
    whole = state_after(Settings(1, 0.01, 32, 0, schedule="constant"))
    four = state_after(Settings(9, 0.01, 32, 0, schedule="constant", steps=4))
    three = state_after(Settings(9, 0.01, 32, 0, schedule="constant", steps=3))
    assert same(whole, four)  # 120 examples in batches of 32 are 4 steps
    assert not same(four, three)
    assert not math.isnan(fit(network(), examples(), examples(), Settings(9, 0.01, 32, 0, steps=7)).accuracy)


def test_a_checkpoint_tells_which_epochs_are_done(tmp_path: Path) -> None:
    settings, told = Settings(5, 0.01, 32, 0), list[Epoch]()
    assert epochs_done(tmp_path / "c", settings, "k") == []

    def watch(epoch: Epoch) -> None:
        told.append(epoch)
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(network(), examples(), examples(60, 1), settings, watch, checkpoint=tmp_path / "c", key="k")
    assert epochs_done(tmp_path / "c", settings, "k") == told
    assert epochs_done(tmp_path / "c", settings, "other") == []
    assert epochs_done(tmp_path / "c", replace(settings, batch_size=8), "k") == []


def test_one_example_at_a_time_is_no_batch_for_a_norm() -> None:
    with pytest.raises(TrainingError, match="can't be trained on a single example") as caught:
        fit(network(), examples(), examples(), Settings(1, 0.01, 1, 0))
    assert caught.value.path == ("batch_size",)
    fit(
        nn.Linear(4, 3), examples(9), examples(9), Settings(1, 0.01, 1, 0)
    )  # without one nothing is wrong with it
