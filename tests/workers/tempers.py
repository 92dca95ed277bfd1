"""A quality whose measuring goes wrong for chosen candidates; it is imported by worker processes."""

import json
import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor

from bitfront.metric import Metric
from bitfront.quality.base import Quality
from bitfront.quality.examples import mean

TEMPERS = "BITFRONT_TEST_TEMPERS"  # in the environment: a file that says what happens at which output


EXAMPLES = 48  # of the split, in one pass


def marks(outputs: Tensor) -> list[str]:
    """What tells the outputs of each candidate from others'."""
    return [repr(total.item()) for total in outputs.unflatten(0, (-1, EXAMPLES)).double().sum((1, 2))]


def temper() -> Quality:
    return Quality(Metric("temper", "", "min"), _measured, mean, needs_labels=False, of_means=True)


def threads() -> Quality:
    """How many threads torch has where it is measured."""
    return Quality(Metric("threads", "", "min"), _threads, mean, needs_labels=False, of_means=True)


def _threads(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    return torch.full((len(outputs), 1), torch.get_num_threads(), dtype=torch.float64)


def _measured(outputs: Tensor, targets: Tensor, reference: Tensor) -> Tensor:
    if TEMPERS in os.environ:
        table: dict[str, str] = json.loads(Path(os.environ[TEMPERS]).read_text())
        for found in marks(outputs):
            _happen(table.get(found, ""))
    return outputs[:, :1].double().abs()


def _happen(what: str) -> None:
    if what == "exit":
        os._exit(3)
    if what == "sleep":
        Path(os.environ[TEMPERS]).with_suffix(".asleep").touch()
        time.sleep(60)
    if what == "hog":
        torch.ones(2**28).sum()  # a gigabyte
    if what == "raise":
        raise ValueError("not this one")
    if what.startswith("SIG"):
        name, _, times = what.partition(" ")  # "SIGKILL 2": the first two who get here
        if times and not _first(name, int(times)):
            return
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(60)


def _first(name: str, times: int) -> bool:
    """Whether fewer than so many processes were here before; it leaves a file for each."""
    for number in range(times):
        try:
            Path(os.environ[TEMPERS]).with_suffix(f".{name}{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False
