import math
import tracemalloc
from dataclasses import replace

import pytest
import torch

from bitfront.errors import DataError, InputError
from bitfront.quality.bootstrap import interval
from bitfront.quality.classification import accuracy, auroc, f1, loss
from bitfront.quality.fidelity import sqnr


def _right(right: int, examples: int) -> torch.Tensor:
    return (torch.arange(examples) < right).double()[:, None]


@pytest.mark.parametrize(("right", "examples"), [(700, 1000), (1800, 2000), (150_000, 200_000)])
@pytest.mark.parametrize(("confidence", "normal"), [(0.95, 1.95996), (0.8, 1.28155)])
def test_accuracy_against_the_normal_approximation(right, examples, confidence, normal):
    rate = right / examples
    error = math.sqrt(rate * (1 - rate) / examples)
    low, high = interval(accuracy(), _right(right, examples), resamples=4000, confidence=confidence)
    # The quantiles of 4000 resamples are themselves off by about 4% of an error.
    assert low == pytest.approx(rate - normal * error, abs=0.15 * error)
    assert high == pytest.approx(rate + normal * error, abs=0.15 * error)


def test_mean_of_many_values_against_the_normal_approximation():
    rows = torch.randn(3000, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64).exp()
    error = rows.std().item() / math.sqrt(3000)
    low, high = interval(loss(), rows, resamples=4000)
    assert low == pytest.approx(rows.mean().item() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(rows.mean().item() + 1.96 * error, abs=0.15 * error)


@pytest.mark.parametrize("make", [accuracy, loss, sqnr])
def test_short_cuts_of_means_agree_with_resampling_whole_stacks(make):
    generator = torch.Generator().manual_seed(5)
    columns = 2 if make is sqnr else 1
    rows = torch.rand(200, columns, generator=generator, dtype=torch.float64) + 0.1
    if make is accuracy:
        rows = rows.round()
    quick = interval(make(), rows, resamples=4000)
    slow = interval(replace(make(), of_means=False), rows, resamples=4000)
    width = slow[1] - slow[0]
    assert quick == pytest.approx(slow, abs=0.06 * width)


@pytest.mark.parametrize("make", [f1, auroc])
def test_interval_of_what_is_no_mean_contains_the_value(make):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(200, 3, generator=generator)
    targets = (outputs + torch.randn(200, 3, generator=generator)).argmax(-1)
    rows = make().statistics(outputs, targets, torch.empty(0))
    low, high = interval(make(), rows, resamples=60)
    assert low < make().value(rows) < high


@pytest.mark.parametrize("make", [accuracy, loss, f1])
def test_seed_decides_everything(make):
    generator = torch.Generator().manual_seed(7)
    if make is f1:
        rows = torch.randint(3, (100, 2), generator=generator).double()
    elif make is accuracy:
        rows = _right(70, 100)
    else:
        rows = torch.rand(100, 1, generator=generator, dtype=torch.float64)
    assert interval(make(), rows, 50, seed=1) == interval(make(), rows, 50, seed=1)
    others = {interval(make(), rows, 50, seed=seed) for seed in range(6)}
    assert len(others) > 1


def test_certain_and_infinite_values():
    assert interval(accuracy(), _right(10, 10)) == (1.0, 1.0)
    assert interval(accuracy(), _right(1, 1), resamples=1) == (1.0, 1.0)
    noiseless = torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(20, 1)
    assert interval(sqnr(), noiseless) == (math.inf, math.inf)
    noiseless[0, 1] = 0.5  # a third of the resamples miss the only noisy example
    low, high = interval(sqnr(), noiseless)
    assert math.isfinite(low)
    assert high == math.inf


@pytest.mark.parametrize("make", [accuracy, loss, f1])
def test_nan_has_no_interval(make):
    rows = torch.ones(50, 2 if make is f1 else 1, dtype=torch.float64)
    rows[3, 0] = math.nan
    assert all(math.isnan(end) for end in interval(make(), rows, resamples=20))


def test_resample_without_a_value_has_no_interval():
    # Two examples of two classes: half of the resamples hold one class only and have no curve.
    rows = auroc().statistics(torch.eye(2), torch.tensor([0, 1]), torch.empty(0))
    assert auroc().value(rows) == 1.0
    assert all(math.isnan(end) for end in interval(auroc(), rows, resamples=20))


def test_memory_stays_bounded():
    rows = torch.rand(200_000, 1, dtype=torch.float64)
    tracemalloc.start()
    interval(loss(), rows, resamples=30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20  # all 30 resamples at once would take 96 MiB


def test_wrong_arguments():
    with pytest.raises(DataError, match="no examples"):
        interval(accuracy(), torch.empty(0, 1, dtype=torch.float64))
    with pytest.raises(InputError, match="resamples >= 1"):
        interval(accuracy(), _right(1, 2), resamples=0)
    with pytest.raises(InputError, match="confidence=95"):
        interval(accuracy(), _right(1, 2), confidence=95)
