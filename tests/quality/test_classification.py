"""Against torch and torchmetrics, both only oracles here."""

import math

import pytest
import torch
import torch.nn.functional as functional
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_f1_score,
)

from bitfront.errors import DataError
from bitfront.quality.classification import accuracy, auroc, f1, loss, top5

NO_REFERENCE = torch.empty(0)


def _measure(quality, outputs, targets):
    return quality.value(quality.statistics(outputs, targets, NO_REFERENCE))


def _examples(count=500, classes=7, positions=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, *positions, classes, generator=generator)
    targets = torch.randint(classes, (count, *positions), generator=generator)
    # Half of the labels are what the model says, so that scores are not those of chance.
    right = torch.rand(count, *positions, generator=generator) < 0.5
    return outputs, torch.where(right, outputs.argmax(-1), targets)


@pytest.mark.parametrize("classes", [2, 5, 7, 100])
def test_all_agree_with_torchmetrics(classes):
    outputs, targets = _examples(classes=classes)
    expected = {
        accuracy: multiclass_accuracy(outputs, targets, classes, average="micro"),
        f1: multiclass_f1_score(outputs, targets, classes, average="macro"),
    }
    if classes >= 5:
        expected[top5] = multiclass_accuracy(outputs, targets, classes, average="micro", top_k=5)
    if classes < 100:  # where every class has labels
        expected[auroc] = multiclass_auroc(outputs.softmax(-1), targets, classes, average="macro")
    for quality, value in expected.items():
        assert _measure(quality(), outputs, targets) == pytest.approx(float(value), abs=1e-6), quality


def test_loss_is_the_cross_entropy_of_torch():
    outputs, targets = _examples()
    expected = functional.cross_entropy(outputs.double(), targets).item()
    assert _measure(loss(), outputs, targets) == pytest.approx(expected, rel=1e-7)
    assert _measure(loss(), outputs.double(), targets) == pytest.approx(expected, rel=1e-12)


def test_loss_by_hand():
    outputs = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    assert _measure(loss(), outputs, torch.tensor([1, 0])) == pytest.approx(
        (math.log(4 / 3) + math.log(2)) / 2
    )


def test_f1_by_hand():
    # Class 0: 2 of 3 found, 1 wrong; class 1: 1 of 2 found, 1 wrong; class 2 never occurs and doesn't count.
    outputs = functional.one_hot(torch.tensor([0, 0, 1, 1, 0]), 3).float()
    assert _measure(f1(), outputs, torch.tensor([0, 0, 0, 1, 1])) == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_f1_of_a_perfect_model_of_one_class():
    assert _measure(f1(), torch.tensor([[1.0, 0.0]] * 3), torch.tensor([0, 0, 0])) == 1.0


def test_auroc_by_hand():
    # Two classes: 3 of the 4 pairs are in order, whichever of the two is looked at.
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    outputs = torch.stack([-scores, scores], dim=1)
    assert _measure(auroc(), outputs, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.75)


def test_auroc_with_many_equal_scores():
    outputs, targets = _examples(classes=3)
    outputs = outputs.round()
    probabilities = outputs.double().softmax(-1).round(decimals=12)
    expected = multiclass_auroc(probabilities, targets, 3, average="macro")
    assert _measure(auroc(), outputs, targets) == pytest.approx(float(expected), abs=1e-6)
    assert _measure(auroc(), torch.zeros(500, 3), targets) == 0.5


def test_auroc_does_not_depend_on_the_order_of_classes():
    # A softmax adds up in the order of classes, so equal scores come out unequal in the last bit.
    outputs, targets = _examples(classes=3)
    outputs, order = outputs.round(), torch.tensor([2, 0, 1])
    turned = _measure(auroc(), outputs[:, order], order.argsort()[targets])
    assert turned == pytest.approx(_measure(auroc(), outputs, targets), rel=1e-14)


def test_auroc_leaves_out_classes_without_labels():
    outputs, targets = _examples(classes=4)
    kept = targets < 3
    outputs, targets = outputs[kept], targets[kept]
    probabilities = outputs.softmax(-1)
    areas = [
        multiclass_auroc(
            torch.stack([1 - probabilities[:, index], probabilities[:, index]], dim=1),
            (targets == index).long(),
            2,
        )
        for index in range(3)
    ]
    assert _measure(auroc(), outputs, targets) == pytest.approx(float(sum(areas)) / 3, abs=1e-6)


def test_auroc_of_a_single_class_is_nan():
    outputs, _ = _examples(count=10)
    assert math.isnan(_measure(auroc(), outputs, torch.zeros(10, dtype=torch.long)))


def test_first_of_equal_outputs_counts():
    equal = torch.zeros(6, 6)
    targets = torch.arange(6)
    assert _measure(accuracy(), equal, targets) == 1 / 6
    assert top5().statistics(equal, targets, NO_REFERENCE).flatten().tolist() == [1, 1, 1, 1, 1, 0]
    strided = equal.t().contiguous().t()
    assert _measure(accuracy(), strided, targets) == 1 / 6


def test_classes_need_not_lie_last_in_memory():
    outputs, targets = _examples()
    strided = outputs.t().contiguous().t()
    for quality in (accuracy(), top5(), loss(), f1(), auroc()):
        assert _measure(quality, strided, targets) == pytest.approx(_measure(quality, outputs, targets))


@pytest.mark.parametrize("make", [accuracy, top5, loss, f1, auroc])
@pytest.mark.parametrize("position", [0, 3, 6])
@pytest.mark.parametrize("strided", [False, True])
def test_nan_in_one_output_is_nan_in_the_value(make, position, strided):
    outputs, targets = _examples()
    outputs[11, position] = math.nan
    if strided:
        outputs = outputs.t().contiguous().t()
    rows = make().statistics(outputs, targets, NO_REFERENCE)
    assert rows.isnan().any(dim=1).nonzero().flatten().tolist() == [11]
    assert math.isnan(make().value(rows))


@pytest.mark.parametrize("make", [accuracy, top5, loss])
def test_example_contributes_its_mean_over_positions(make):
    outputs, targets = _examples(count=20, positions=(3, 4))
    rows = make().statistics(outputs, targets, NO_REFERENCE)
    flat = make().statistics(outputs.reshape(240, 7), targets.reshape(240), NO_REFERENCE)
    assert rows.shape == (20, 1)
    torch.testing.assert_close(rows, flat.reshape(20, 12).mean(dim=1, keepdim=True))
    outputs[5, 2, 1, 0] = math.nan
    assert make().statistics(outputs, targets, NO_REFERENCE).isnan().flatten().nonzero().tolist() == [[5]]


@pytest.mark.parametrize("make", [f1, auroc])
def test_positions_are_pooled(make):
    outputs, targets = _examples(count=20, positions=(3, 4))
    flat = _measure(make(), outputs.reshape(240, 7), targets.reshape(240))
    assert _measure(make(), outputs, targets) == pytest.approx(flat)


def test_top5_needs_five_classes():
    outputs, targets = _examples(classes=4)
    with pytest.raises(DataError, match="needs a model of at least 5 classes, and this one has 4"):
        _measure(top5(), outputs, targets)
    outputs, targets = _examples(classes=5)
    assert _measure(top5(), outputs, targets) == 1.0


@pytest.mark.parametrize("make", [accuracy, top5, loss, f1, auroc])
@pytest.mark.parametrize("shape", [(500, 1), (499,), (500, 7), (1,)])
def test_labels_never_broadcast(make, shape):
    outputs, _ = _examples()
    with pytest.raises(DataError, match="labels have"):
        make().statistics(outputs, torch.zeros(shape, dtype=torch.long), NO_REFERENCE)


@pytest.mark.parametrize("make", [accuracy, top5, loss, f1, auroc])
def test_no_examples_is_an_error(make):
    with pytest.raises(DataError, match="no examples"):
        make().value(make().statistics(torch.empty(0, 5), torch.empty(0, dtype=torch.long), NO_REFERENCE))
