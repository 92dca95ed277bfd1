"""Observation: exact range, bounded and fair sample."""

import pytest
import torch

from bitfront.errors import DataError
from bitfront.formats import Observation


def seen(*batches, capacity=2**18):
    observation = Observation(capacity)
    for batch in batches:
        observation.observe(batch)
    return observation


def test_the_range_is_exact_and_the_sample_bounded():
    values = torch.randn(100, 77, generator=torch.Generator().manual_seed(0))
    values[31, 5], values[99, 76] = 40.0, -50.0
    observation = seen(*values, capacity=1000)
    assert observation.range.tolist() == [-50.0, 40.0]
    assert observation.count == 7700
    assert 300 <= len(observation.sample) <= 1000


def test_all_is_kept_while_it_fits():
    values = torch.randn(10, 100)
    assert seen(*values, capacity=1000).sample.equal(values.reshape(-1))
    assert seen(values.T, capacity=1000).sample.equal(values.T.reshape(-1))


@pytest.mark.parametrize("capacity", [1, 2, 7, 100, 1000])
def test_batches_do_not_matter(capacity):
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    whole = seen(values, capacity=capacity)
    assert 0 < len(whole.sample) <= capacity
    for size in (1, 30, 64, 777, 1999):
        parts = seen(*values.split(size), capacity=capacity)
        assert parts.sample.equal(whole.sample)
        assert parts.range.equal(whole.range)


@pytest.mark.parametrize("channels", [2, 3, 13, 21, 55, 64, 144, 768])
def test_all_channels_are_sampled_alike(channels):
    rows = torch.arange(channels, dtype=torch.float32).expand(200_000 // channels, channels)
    observation = seen(rows, capacity=8192)
    counts = torch.bincount(observation.sample.long(), minlength=channels)
    fair = len(observation.sample) / channels
    assert ((counts - fair).abs() < 4.5 * fair**0.5).all()  # as if drawn at random


def test_what_was_observed_may_change_afterwards():
    values = torch.ones(4)
    observation = seen(values)
    values.zero_()
    assert observation.sample.tolist() == [1.0] * 4
    assert observation.range.tolist() == [1.0, 1.0]


def test_half_precision_and_empty_tensors():
    observation = seen(torch.empty(0, 3), torch.tensor([1.5, -2.0]).half(), torch.tensor(3.0).bfloat16())
    assert observation.range.tolist() == [-2.0, 3.0]
    assert observation.sample.tolist() == [1.5, -2.0, 3.0]
    assert observation.sample.dtype is torch.float32


@pytest.mark.parametrize(("bad", "words"), [("nan", "NaN"), ("inf", "infinity"), ("-inf", "infinity")])
def test_bad_values(bad, words):
    observation = seen(torch.ones(3))
    with pytest.raises(DataError) as caught:
        observation.observe(torch.tensor([1.0, float(bad), 2.0]))
    assert str(caught.value) == words
    assert observation.count == 3


def test_the_ends_of_the_floats_are_fine():
    end = torch.finfo(torch.float32).max
    assert seen(torch.tensor([-end, end])).range.tolist() == [-end, end]


def test_nothing_observed():
    with pytest.raises(DataError, match="no values were observed"):
        _ = seen(torch.empty(0)).range
    assert len(seen().sample) == 0
