"""Data that raises, never ends or has the wrong form: one paragraph that names the split, before any search."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from bitfront.errors import DataError
from bitfront.recipe import Job
from bitfront.recipe.reading import parse
from bitfront.running import run_job

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
RECIPE = """
[[space]]
match = "type:linear"
weight = ["int8", "int4"]
[metrics]
accuracy = {}
size = {}
[search]
strategy = "random"
trials = 2
"""


class Items(Dataset[Any]):
    """A dataset made of a function and a length."""

    def __init__(self, item: Callable[[int], Any], length: Any = 24) -> None:
        self._item = item
        self._length = length

    def __len__(self) -> int:
        length: Any = self._length() if callable(self._length) else self._length
        return length

    def __getitem__(self, index: int) -> Any:
        return self._item(index)


class Endless(IterableDataset[Any]):
    """Gives the same example for ever, and says that there are 24."""

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield X[0], Y[0]

    def __len__(self) -> int:
        return 24


def _raise(*ignored: Any) -> NoReturn:
    raise RuntimeError("the disk is on fire")


def _leave(*ignored: Any) -> NoReturn:
    raise SystemExit(0)


class Property:
    """An object of which one split can't be had."""

    calibration = (X, Y)

    @property
    def search(self) -> NoReturn:
        _raise()


class Mapping(dict[str, Any]):
    """A mapping that can't be asked."""

    def get(self, *ignored: Any) -> NoReturn:
        _raise()


def _all(split: Any) -> dict[str, Any]:
    return {"calibration": split, "search": split, "test": split}


def _test(split: Any) -> dict[str, Any]:
    return {**_all((X, Y)), "test": split}


def _twice(index: int) -> Any:
    return (X[index], Y[index]) if index < 12 else _raise()


BAD: dict[str, tuple[Any, str]] = {
    "an example that raises": (_all(Items(_raise)), "'calibration' .* RuntimeError: the disk is on fire"),
    "a late one": (_all(Items(_twice)), "'calibration' .* RuntimeError: the disk is on fire"),
    "one that leaves": (_all(Items(_leave)), "'calibration' .* SystemExit: 0"),
    "one that stops": (_all(Items(lambda index: next(iter(())))), "'calibration' .* StopIteration"),
    "a length that raises": (_all(Items(_twice, _raise)), "the disk is on fire"),
    "a length below zero": (_all(Items(_twice, -5)), "__len__"),
    "a length that is none": (_all(Items(_twice, 4.5)), "cannot be interpreted as an integer"),
    "a length beyond memory": (
        _all(Items(lambda i: (X[0], Y[0]), 10**15)),
        "examples of 24 bytes are more than",
    ),
    "a length beyond the end": (_all(Items(lambda i: (X[i], Y[i]), 30)), "IndexError"),
    "no end": (_all(Endless()), "can't be put together"),
    "a generator": (_all(pair for pair in zip(X, Y, strict=True)), "but is generator"),
    "ragged examples": (_all(Items(lambda i: (torch.zeros(i + 1), Y[i]))), "equal size"),
    "examples without labels": (_all(Items(lambda i: (X[i], None))), "NoneType"),
    "a property that raises": (
        Property(),
        "The 'search' split can't be had: RuntimeError: the disk is on fire",
    ),
    "a mapping that raises": (Mapping(_all((X, Y))), "The 'calibration' split can't be had: RuntimeError"),
    "NaN": (_all((X * float("nan"), Y)), "'calibration' split holds NaN or infinity"),
    "infinity at the end": (
        _test((torch.cat([X[:-1], X[-1:] / 0]), Y)),
        "'test' split holds NaN or infinity",
    ),
    "labels that are NaN": (_all((X, Y * float("nan"))), "holds NaN or infinity"),
    "another width": (_all((torch.ones(24, 5), Y)), "can't be run on inputs of shape"),
    "another width in test": (_test((torch.ones(24, 5), Y)), "In the test split: The float model can't run"),
    "a single number": (_all((torch.tensor(1.0), torch.tensor(1))), r"tensors of shape \(examples, …\)"),
    "no examples": (_all((X[:0], Y[:0])), "'calibration' split is empty"),
    "labels out of range": (_all((X, Y + 5)), "In the search split: The labels lie in 5 … 7"),
    "labels out of range in test": (_test((X, Y + 5)), "In the test split: The labels lie in 5 … 7"),
    "labels below zero": (_all((X, Y - 1)), "labels lie in -1 … 1"),
    "broken labels": (_all((X, Y + 0.5)), "one of them is"),
    "fewer labels": (_all((X, Y[:3])), r"different lengths: \[3, 24\]"),
    "labels of one more axis": (_all((X, Y[:, None])), r"have the shape \(24, 1\)"),
    "labels as words": (_all(Items(lambda i: (X[i], "cat"))), "must hold tensors, but holds tuple"),
    "complex inputs": (_all((X * 1j, Y)), "ordinary tensors, but one is complex"),
    "sparse inputs": (_all((X.to_sparse(), Y)), "ordinary tensors, but one is sparse"),
    "inputs without values": (_all((X.to("meta"), Y)), "ordinary tensors, but one is without values"),
    "double inputs": (_all((X.double(), Y)), "can't run on the data: .*dtype"),
    "arrays": (_all((X.numpy(), Y.numpy())), "must hold tensors, but holds ndarray"),
    "three parts": (_all((X, Y, Y)), "a pair"),
    "a list": ([X, Y], "must be a mapping or an object with the splits"),
    "a number": (7, "must be a mapping or an object with the splits"),
    "no splits": ({}, "returns no 'calibration' split"),
}


@pytest.mark.parametrize(("data", "says"), BAD.values(), ids=BAD)
def test_data_that_can_not_be_meant(tmp_path: Path, data: Any, says: str) -> None:
    run = tmp_path / "run"
    with pytest.raises(DataError, match=says):
        run_job(Job(parse(RECIPE)[0], model=_model(), data=data, batch_size=8), run)
    assert not run.exists()


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3))


def test_data_that_changes_is_noticed(tmp_path: Path) -> None:
    """The factory is asked once for a search; another answer is refused when the run is gone on with."""

    def job(offset: float) -> Job:
        return Job(parse(RECIPE)[0], model=_seeded(), data=_all((X + offset, Y)), batch_size=8)

    run_job(job(0.0), tmp_path / "run")
    with pytest.raises(Exception, match="the calibration or search data changed"):
        run_job(job(1e-3), tmp_path / "run")


def _seeded() -> nn.Module:
    torch.manual_seed(0)
    return _model()


def test_few_examples_of_a_long_dataset_are_enough_to_know(tmp_path: Path) -> None:
    """The size in memory is told from one example: nothing is read for hours first."""
    read: list[int] = []

    def item(index: int) -> tuple[Tensor, Tensor]:
        read.append(index)
        return X[0], Y[0]

    with pytest.raises(DataError, match="are more than"):
        run_job(Job(parse(RECIPE)[0], model=_model(), data=_all(Items(item, 10**15)), batch_size=8), None)
    assert read == [0]
