import pytest
import torch

from bitfront.errors import DataError
from bitfront.quality.classification import accuracy, f1, loss
from bitfront.quality.labels import check_labels

OUTPUTS = torch.zeros(4, 5)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, 9, 3, 1], "labels lie in 0 … 9 but the model has 5 outputs"),
        ([1, 2, 3, 5], "labels lie in 1 … 5 but the model has 5 outputs"),
        ([-1, 2, 3, 4], "labels lie in -1 … 4 but the model has 5 outputs"),
        ([0.0, 1.5, 2.0, 3.0], "class numbers 0 … 4, but one of them is 1.5"),
        ([0.0, float("nan"), 2.0, 3.0], "but one of them is nan"),
        ([0.0, float("inf"), 2.0, 3.0], "but one of them is inf"),
        ([0, 1, 2], "3 labels for 4 examples"),
        ([[0], [1], [2], [3]], r"shape \(4, 1\), but the model's outputs ask for \(4,\)"),
        (3, r"shape \(\), but"),
    ],
)
def test_what_is_wrong_is_said(targets, message):
    with pytest.raises(DataError, match=message):
        check_labels(torch.tensor(targets), OUTPUTS)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
def test_good_labels_pass(dtype):
    check_labels(torch.tensor([0, 1, 4, 2], dtype=dtype), OUTPUTS)
    check_labels(torch.zeros(4, 3, dtype=dtype), torch.zeros(4, 3, 5))
    check_labels(torch.tensor([True, False]), torch.zeros(2, 2))


def test_outputs_of_no_classifier():
    with pytest.raises(DataError, match=r"\(examples, …, classes\)"):
        check_labels(torch.zeros(4), torch.zeros(4))


def test_no_examples():
    with pytest.raises(DataError, match="no examples"):
        check_labels(torch.zeros(0), torch.zeros(0, 5))


def test_whole_numbers_in_floats_count_as_classes():
    """As they come out of a CSV file; fractions are refused above."""
    outputs, targets = torch.randn(6, 5), torch.tensor([0, 1, 4, 2, 2, 3])
    for quality in (accuracy(), loss(), f1()):
        whole = quality.statistics(outputs, targets, outputs)
        assert torch.equal(whole, quality.statistics(outputs, targets.float(), outputs))
