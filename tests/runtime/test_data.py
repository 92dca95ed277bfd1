"""Splits and examples, and every message about data of another form."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from bitfront.errors import DataError
from bitfront.runtime.data import Examples, as_examples, splits
from bitfront.zoo import jets_synthetic
from tests.graph.modules import rows

X, Y = rows(6, 3), torch.arange(6)
PAIR = (X, Y)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[0], 0)])


@pytest.mark.parametrize(
    "made",
    [
        {"calibration": PAIR, "search": PAIR},
        SimpleNamespace(calibration=PAIR, search=PAIR),
        {"calibration": list(PAIR), "search": Examples((X,), Y), "test": None, "train": "ignored"},
        {
            "calibration": TensorDataset(*PAIR),
            "search": Items([(x, int(y)) for x, y in zip(*PAIR, strict=True)]),
        },
    ],
    ids=["mapping", "object", "lists and examples", "datasets"],
)
def test_forms_of_splits(made):
    found = splits(made, {})
    assert found.test is None
    for part in (found.calibration, found.search):
        assert torch.equal(part.inputs[0], X)
        assert part.targets is not None
        assert torch.equal(part.targets, Y)
        assert len(part) == 6


def test_inputs_without_labels_and_several_inputs():
    assert as_examples("search", X).targets is None
    assert as_examples("search", (X, None)).targets is None
    assert as_examples("search", Items(list(X))).targets is None
    two = as_examples("search", ((X, X + 1), Y))
    assert [tensor.shape for tensor in two.inputs] == [(6, 3), (6, 3)]
    from_items = as_examples("search", Items([((x, x + 1), 0) for x in X]))
    assert torch.equal(from_items.inputs[1], X + 1)


def test_inputs_by_name():
    named = {"ids": X, "mask": X + 1}
    for value in ((named, Y), named, Items([({"ids": x, "mask": x + 1}, 0) for x in X])):
        found = as_examples("search", value)[1:3]
        assert (found.names, list(found.given)) == (("ids", "mask"), ["ids", "mask"])
        assert torch.equal(found.to(torch.device("cpu")).given["mask"], X[1:3] + 1)
    assert as_examples("search", Items([{"x": x} for x in X])).names == ("x",)
    assert as_examples("search", (X, X + 1)).given[0] is X


def test_counts_take_the_first_examples():
    found = splits(
        {"calibration": PAIR, "search": PAIR, "test": PAIR}, {"calibration": 2, "search": None, "test": 6}
    )
    assert [len(part) for part in (found.calibration, found.search, found.test)] == [2, 6, 6]
    assert torch.equal(found.calibration.inputs[0], X[:2])


def test_the_zoo():
    found = splits(jets_synthetic(100), {})
    assert len(found.search) == 20


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"calibration": PAIR}, r"returns no 'search' split \(known are: calibration\)"),
        ({"calibraton": PAIR, "search": PAIR}, r"no 'calibration' split \(did you mean 'calibraton'\?\)"),
        (SimpleNamespace(search=PAIR, _hidden=1), r"no 'calibration' split \(known are: search\)"),
        ({}, r"no 'calibration' split \(it returns dict\)"),
        (None, r"no 'calibration' split \(it returns NoneType\)"),
        ([PAIR, PAIR], r"no 'calibration' split \(it returns list\)"),
    ],
)
def test_missing_splits(made, message):
    with pytest.raises(DataError, match=message):
        splits(made, {})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "The 'search' split must be a Dataset, a pair .* but is str"),
        ((X, Y, Y), "must be a Dataset, a pair .* but is tuple"),
        ({}, r"must hold tensors of shape \(examples, …\)"),
        ({"x": [1, 2]}, "must hold tensors, but holds list"),
        (TensorDataset(X), "must be a Dataset, a pair .* but is list"),
        ((X.numpy(), Y), "must hold tensors, but holds ndarray"),
        ((X, list(Y)), "must hold tensors, but holds list"),
        (((X, "more"), Y), "must hold tensors, but holds str"),
        (torch.tensor(1.0), r"must hold tensors of shape \(examples, …\)"),
        ((X, torch.tensor(1)), r"must hold tensors of shape \(examples, …\)"),
        (((), Y), r"must hold tensors of shape \(examples, …\)"),
        ((X, Y[:4]), r"Inputs and targets of the 'search' split have different lengths: \[4, 6\]"),
        (((X, X[:5]), Y), r"different lengths: \[5, 6\]"),
        (Stream(), "is a Stream whose examples can't be put together: .*len"),
        (Items([(X[0], 0), (X[0, :2], 1)]), "is a Items whose examples can't be put together: .*equal size"),
        (X[:0], "The 'search' split is empty"),
        (Items([]), "The 'search' split is empty"),
        (X / 0, "The 'search' split holds NaN or infinity"),
        ((X, torch.full((6,), float("nan"))), "holds NaN or infinity"),
        (((X, torch.full((6, 2), float("inf"))), Y), "holds NaN or infinity"),
    ],
)
def test_data_of_another_form(value, message):
    with pytest.raises(DataError, match=message):
        splits({"calibration": PAIR, "search": value}, {})


def test_more_examples_than_there_are():
    with pytest.raises(DataError, match="search = 7 examples were asked for, but the split has 6"):
        splits({"calibration": PAIR, "search": PAIR}, {"search": 7})


def test_nan_beyond_the_count_does_not_matter():
    odd = X.clone()
    odd[5] = float("nan")
    assert len(splits({"calibration": PAIR, "search": odd}, {"search": 5}).search) == 5


def test_batches():
    parts = list(Examples((X, X + 1), Y).batches(4))
    assert [len(part) for part in parts] == [4, 2]
    assert torch.equal(torch.cat([part.inputs[1] for part in parts]), X + 1)
    assert all(part.targets is not None for part in parts)
    assert [part.targets for part in Examples((X,), None).batches(6)] == [None]
    for size in (0, -1):
        with pytest.raises(DataError, match=f"1 <= batch size must hold, but got {size}"):
            list(Examples((X,), None).batches(size))


def test_to_a_device():
    moved = Examples((X,), Y).to(torch.device("meta"))
    assert moved.inputs[0].is_meta
    assert moved.targets is not None
    assert moved.targets.is_meta
    assert Examples((X,), None).to(torch.device("cpu")).targets is None
