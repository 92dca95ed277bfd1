"""The command line in this process, thousands of times in a minute: what it said, and how it ended.

What takes long and has nothing to do with input is cut short: models are traced once, budgets are small, and what
runs in a process of its own (verify, the check of an export) runs in this one.
"""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from unicodedata import category
from unittest import mock

import torch

from bitfront import cli
from bitfront.export.fresh import main as export_main
from bitfront.graph import capture
from bitfront.loop import Budget
from bitfront.train.loop import Settings
from bitfront.verify.__main__ import main as verify_main

Kind = Literal["done", "refused", "fault", "hang"]

SECONDS = 20.0  # one command may take; the slowest honest one takes two
FIRST = 120.0  # the first one, which loads libraries
MEMORY = 4 * 2**30  # bytes that the process may grow by
TRIALS, EPOCHS = 5, 1
_LENGTH = 3000  # of a paragraph that somebody reads
_DIFFERENT = 1  # what verify ends with where a run is; it says so where results go
_REFUSED = 2  # the input is wrong
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class Ended:
    """How a command ended. `kind` is "fault" where it neither did its work nor refused its input clearly.

    A clear refusal is one paragraph and status 2: status 1 would put it down to bitfront or the machine.
    """

    kind: Kind
    status: int
    out: str
    err: str


class Hung(BaseException):
    """The alarm went off."""


def command(*arguments: object, seconds: float = SECONDS) -> Ended:
    """`bitfront` with these arguments, here."""
    out, err = _stream("strict"), _stream("backslashreplace")
    status: object = None
    with (
        mock.patch.object(sys, "argv", ["bitfront", *map(str, arguments)]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            with _alarm(seconds):
                cli.main()
        except SystemExit as ended:
            status = ended.code
        except Hung:
            return Ended("hang", -1, _said(out), _said(err))
    assert isinstance(status, int)
    said = _said(err)
    return Ended(kind_of(str(arguments[0]), status, said), status, _said(out), said)


def kind_of(name: str, status: int, said: str) -> Kind:
    """How a command of this name ended, by its status and what it said on standard error."""
    if status == 0 or (name == "verify" and status == _DIFFERENT and not said):
        return "done"
    clear = (
        status == _REFUSED
        and said.startswith("Error:")
        and "Traceback" not in said
        and "bitfront failed: " not in said
        and "\n\n" not in said
        and len(said) <= _LENGTH
        and all(category(character) not in _UNSEEN for character in said.replace("\n", ""))
    )
    return "refused" if clear else "fault"


def _stream(errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _said(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", errors="replace")


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def quickly() -> Iterator[None]:
    """Inside, commands are cut short as said above, and memory is bounded."""
    traced: dict[str, Any] = {}

    def trace(model: torch.nn.Module, inputs: Any, name: str = "") -> Any:
        key = f"{name} {model!r} {_digest(model)} {_shapes(inputs)}"
        if key not in traced:
            traced[key] = capture.trace(model, inputs, name)
        return traced[key]

    def budget(trials: int, seconds: float | None = None) -> Budget:
        return Budget(min(trials, TRIALS), seconds)

    def settings(epochs: int, steps: int | None = None, **others: Any) -> Settings:
        return Settings(epochs=min(epochs, EPOCHS), steps=None if steps is None else min(steps, 2), **others)

    with (
        mock.patch("bitfront.recipe.materials.trace", trace),
        mock.patch("bitfront.running.settled", nullcontext),
        mock.patch("bitfront.running.Budget", budget),
        mock.patch("bitfront.recipe.tuning.Settings", settings),
        mock.patch("bitfront.recipe.judging.Judging.crew", return_value=None),
        mock.patch("bitfront.verify.fresh.failure_of", _here),
        mock.patch("bitfront.export.fresh.failure_of", _here),
        _bounded(MEMORY),
    ):
        yield


def _here(module: str, *arguments: str, leaves: Path, settings: Mapping[str, str] | None = None) -> str:
    """What a process of its own would do, here: whatever it raises is seen."""
    main = {"bitfront.verify": verify_main, "bitfront.export.fresh": export_main}[module]
    main(*arguments)
    return "" if leaves.exists() else "nothing was left"


@contextmanager
def _bounded(growth: int) -> Iterator[None]:
    """Allocations beyond so many more bytes fail, instead of the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + growth, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _digest(model: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for tensor in model.state_dict().values():
        found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        found.update(tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _shapes(inputs: Any) -> str:
    tensors = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    return str([(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors])


def files_of(directory: Path, but: tuple[str, ...] = ("lock",)) -> dict[str, bytes]:
    """What lies in a directory, by name."""
    found = [path for path in directory.rglob("*") if path.is_file() and path.name not in but]
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}
