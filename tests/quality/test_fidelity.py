import math

import pytest
import torch
import torch.nn.functional as functional

from bitfront.errors import DataError
from bitfront.quality.fidelity import agreement, kl, sqnr

NO_LABELS = torch.empty(0)


def _measure(quality, outputs, reference):
    return quality.value(quality.statistics(outputs, NO_LABELS, reference))


def _pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(*shape, generator=generator)
    return reference + 0.3 * torch.randn(*shape, generator=generator), reference


def test_agreement_counts_equal_classes():
    reference = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    outputs = torch.tensor([[9.0, 8, 7], [1, 0, 0], [0, 0, 2], [2, 0, 0]])
    assert _measure(agreement(), outputs, reference) == 0.75


def test_kl_is_that_of_torch():
    outputs, reference = _pair(300, 7)
    expected = functional.kl_div(
        outputs.double().log_softmax(-1),
        reference.double().log_softmax(-1),
        log_target=True,
        reduction="batchmean",
    )
    assert _measure(kl(), outputs, reference) == pytest.approx(expected.item(), rel=1e-12)


def test_kl_by_hand_is_of_the_float_model_from_the_candidate():
    reference, outputs = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    expected = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert _measure(kl(), outputs, reference) == pytest.approx(expected, rel=1e-6)


def test_kl_is_never_negative_and_zero_for_equals():
    _, reference = _pair(1000, 100)
    assert _measure(kl(), reference, reference) == 0
    # The true divergence is 1e-20 here, so that rounding decides the sign of a plain sum.
    nearly = kl().statistics(reference.double() * (1 + 1e-10), NO_LABELS, reference)
    assert nearly.min() >= 0


def test_kl_with_classes_ruled_out():
    reference = torch.tensor([[0.0, 0.0, -math.inf]])
    assert _measure(kl(), reference, reference) == 0
    assert _measure(kl(), torch.zeros(1, 3), reference) == pytest.approx(math.log(1.5))
    assert _measure(kl(), reference, torch.zeros(1, 3)) == math.inf


def test_sqnr_by_hand():
    reference = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    outputs = torch.tensor([[3.0, 4.5], [0.0, 5.0]])
    assert _measure(sqnr(), outputs, reference) == pytest.approx(10 * math.log10(50 / 0.25))


def test_sqnr_sums_before_it_divides():
    outputs, reference = _pair(50, 3, 4)
    noise = (reference.double() - outputs.double()).square().sum()
    expected = 10 * torch.log10(reference.double().square().sum() / noise)
    assert _measure(sqnr(), outputs, reference) == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("outputs", "reference", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], math.inf),
        ([0.0, 0.0], [0.0, 0.0], math.inf),
        ([1.0, 0.0], [0.0, 0.0], -math.inf),
        ([math.inf, 0.0], [1.0, 0.0], -math.inf),
        ([1.0, 0.0], [math.inf, 0.0], math.nan),
    ],
)
def test_sqnr_at_the_edges(outputs, reference, expected):
    measured = _measure(sqnr(), torch.tensor([outputs]), torch.tensor([reference]))
    assert measured == pytest.approx(expected, nan_ok=True)


def test_sqnr_needs_no_classes():
    outputs, reference = _pair(40)
    assert _measure(sqnr(), outputs, reference) == pytest.approx(
        _measure(sqnr(), outputs[:, None], reference[:, None])
    )


@pytest.mark.parametrize("make", [agreement, kl, sqnr])
@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("position", [0, 4, 6])
def test_nan_in_either_is_nan_in_the_value(make, broken, position):
    pair = _pair(50, 7)
    pair[broken][17, position] = math.nan
    rows = make().statistics(pair[0], NO_LABELS, pair[1])
    assert rows.isnan().any(dim=1).nonzero().flatten().tolist() == [17]
    assert math.isnan(make().value(rows))


@pytest.mark.parametrize("make", [agreement, kl, sqnr])
def test_example_contributes_its_mean_over_positions(make):
    outputs, reference = _pair(20, 6, 5)
    rows = make().statistics(outputs, NO_LABELS, reference)
    flat = make().statistics(outputs.reshape(120, 5), NO_LABELS, reference.reshape(120, 5))
    torch.testing.assert_close(rows, flat.reshape(20, 6, -1).mean(dim=1))


@pytest.mark.parametrize("make", [agreement, kl, sqnr])
def test_shapes_never_broadcast(make):
    outputs, reference = _pair(8, 5)
    with pytest.raises(DataError, match="the float model's have"):
        make().statistics(outputs, NO_LABELS, reference[:1])
