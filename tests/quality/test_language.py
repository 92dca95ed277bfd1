import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from bitfront.errors import DataError
from bitfront.quality import language
from bitfront.quality.bootstrap import interval
from bitfront.quality.labels import check_tokens

NOTHING = torch.empty(0)


def _examples(examples=5, positions=7, vocabulary=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = 2 * torch.randn(examples, positions, vocabulary, generator=generator)
    return outputs, torch.randint(vocabulary, (examples, positions), generator=generator)


def _value(quality, outputs, targets):
    return quality.value(quality.statistics(outputs, targets, NOTHING))


def test_by_hand():
    # After token 0 the model gives 1/4 to token 1, which follows; after that 3/4 to token 2, which follows.
    outputs = torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.9, 0.05, 0.05]]]).log()
    targets = torch.tensor([[0, 1, 2]])
    assert _value(language.perplexity(), outputs, targets) == pytest.approx((4 * 4 / 3) ** 0.5, rel=1e-6)
    assert _value(language.next_token_loss(), outputs, targets) == pytest.approx(
        math.log(16 / 3) / 2, rel=1e-6
    )
    assert _value(language.next_token_accuracy(), outputs, targets) == 0.5


def test_uniform_outputs_give_the_size_of_the_vocabulary():
    _, targets = _examples(vocabulary=50)
    assert _value(language.perplexity(), torch.zeros(5, 7, 50), targets) == pytest.approx(50)


def test_against_torch_with_padding():
    outputs, targets = _examples()
    targets[1, 4:], targets[3, 2:], targets[4] = -100, -100, -100
    wanted = cross_entropy(outputs[:, :-1].flatten(0, 1).double(), targets[:, 1:].flatten())
    assert _value(language.next_token_loss(), outputs, targets) == pytest.approx(float(wanted), rel=1e-12)
    assert _value(language.perplexity(), outputs, targets) == pytest.approx(math.exp(wanted), rel=1e-12)


def test_every_token_counts_alike_however_long_its_sequence_is():
    outputs, targets = _examples(examples=2)
    targets[1, 2:] = -100
    long, short = (
        language.next_token_loss().statistics(outputs[i : i + 1], targets[i : i + 1], NOTHING)[0]
        for i in (0, 1)
    )
    assert (long[1], short[1]) == (6, 1)
    mean = float((long[0] + short[0]) / 7)
    assert _value(language.next_token_loss(), outputs, targets) == pytest.approx(mean, rel=1e-12)


def test_what_the_model_says_about_padding_does_not_matter():
    outputs, targets = _examples()
    targets[:, 4:] = -100
    changed = outputs.clone()
    changed[:, 3:] = math.nan  # the output at 3 would foretell the padding at 4
    for quality in (language.perplexity(), language.next_token_accuracy()):
        rows = quality.statistics(outputs, targets, NOTHING)
        assert torch.equal(quality.statistics(changed, targets, NOTHING), rows)


def test_slices_change_nothing(monkeypatch):
    outputs, targets = _examples(6, 9, 13)
    targets[2, 5:] = -100
    whole = language.perplexity().statistics(outputs, targets, NOTHING)
    for at_once in (1, 13, 40, 117, 300):
        monkeypatch.setattr(language, "_AT_ONCE", at_once)
        assert torch.equal(language.perplexity().statistics(outputs, targets, NOTHING), whole)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_vocabulary_row_by_row(threads):
    outputs, targets = _examples(3, 4, 40_000)
    before = torch.get_num_threads()
    whole = language.perplexity().statistics(outputs, targets, NOTHING)
    try:
        torch.set_num_threads(threads)
        rows = [
            language.perplexity().statistics(outputs[i : i + 1], targets[i : i + 1], NOTHING)
            for i in range(3)
        ]
        turned = outputs.movedim(-1, 0).contiguous().movedim(0, -1)
        assert torch.equal(torch.cat(rows), whole)
        assert torch.equal(language.perplexity().statistics(turned, targets, NOTHING), whole)
    finally:
        torch.set_num_threads(before)


def test_extremes():
    outputs, targets = _examples()
    assert math.isnan(_value(language.perplexity(), outputs * math.nan, targets))
    assert _value(language.perplexity(), outputs * 1e6, targets) == math.inf
    assert math.isnan(_value(language.perplexity(), outputs, torch.full_like(targets, -100)))


def test_interval_is_around_the_value():
    quality = language.perplexity()
    rows = quality.statistics(*_examples(200), NOTHING)
    low, high = interval(quality, rows, resamples=200)
    assert low < quality.value(rows) < high


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        (torch.zeros(2, 5), torch.zeros(2), r"have shape \(2, 5\)"),
        (torch.zeros(2, 3, 5), torch.full((2, 3), 5), "token ids 0 … 4"),
        (torch.zeros(2, 3, 5), torch.full((2, 3), -1), "token ids 0 … 4"),
        (torch.zeros(2, 3, 5), torch.full((2, 3), 1.5), "token ids 0 … 4"),
        (torch.zeros(2, 3, 5), torch.full((2, 3), -100), "0 targets are tokens"),
        (torch.zeros(2, 1, 5), torch.zeros(2, 1), r"2 or more tokens"),
        (torch.zeros(2, 3, 5), torch.zeros(2, 4), r"shape \(2, 4\)"),
    ],
)
def test_targets_that_are_no_tokens(outputs, targets, message):
    with pytest.raises(DataError, match=message):
        check_tokens(targets, outputs)


def test_good_targets():
    _, targets = _examples()
    targets[0, 3:] = -100
    check_tokens(targets, torch.zeros(5, 7, 11))


def test_shapes_that_do_not_fit():
    with pytest.raises(DataError, match=r"\(examples, positions, vocabulary\)"):
        language.perplexity().statistics(torch.zeros(2, 5), torch.zeros(2), NOTHING)
    with pytest.raises(DataError, match="labels have"):
        language.perplexity().statistics(torch.zeros(2, 3, 5), torch.zeros(2, 4), NOTHING)
