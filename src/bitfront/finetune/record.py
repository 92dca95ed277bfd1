"""finetuned.jsonl of a run: a header line, then one line per fine-tuned trial, each with a checksum.

The log of the search stays as it is, so that it can be replayed. What was trained lies beside, in
finetuned/NAME.safetensors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront.errors import BitfrontError, RunError
from bitfront.files import read_file, write_bytes_whole
from bitfront.results import Interval
from bitfront.trial import Trial, from_record, seal, to_json_number, to_record, unseal

NAME, FOLDER = "finetuned.jsonl", "finetuned"
VERSION = 1


@dataclass(frozen=True)
class FineTuned:
    """A trial that was trained.

    Attributes:
        trial: its number among the fine-tuned ones of the run, its assignment and its outcome.
        parent: the number of the trial it came from.
        test: metrics on the test split, with 95% intervals; empty without one.
        settings: the table [finetune] it was trained by.
        seconds: of training.
        loss: mean training loss of the last epoch; None where training failed.
        key: of everything that the result depends on.
        inputs: scales of the input sites.
        digest: SHA-256 of the file of its tensors; empty where training failed.
        before: metrics of the parent on all examples, where the search had judged it on some; else None.
    """

    trial: Trial
    parent: int
    test: Mapping[str, Interval]
    settings: Mapping[str, Any]
    seconds: float
    loss: float | None
    key: str
    inputs: Mapping[str, Mapping[str, Any]]
    digest: str
    before: Mapping[str, float] | None = None

    @property
    def name(self) -> str:
        """How people call it: f0, f1, …."""
        return f"f{self.trial.number}"

    def to_json(self) -> dict[str, Any]:
        """A line of the file."""
        return {
            **to_record(self.trial),
            "parent": self.parent,
            "test": {name: found.to_json() for name, found in self.test.items()},
            "settings": dict(self.settings),
            "training_seconds": round(self.seconds, 6),
            "loss": self.loss,
            "key": self.key,
            "inputs": {site: dict(scale) for site, scale in self.inputs.items()},
            "digest": self.digest,
            **({} if self.before is None else {"before": _numbers(self.before)}),
        }

    @staticmethod
    def of(record: Mapping[str, Any]) -> FineTuned:
        """The inverse of `to_json`; KeyError, TypeError, ValueError or AttributeError where it isn't one."""
        loss = record["loss"]
        return FineTuned(
            trial=from_record(record),
            parent=int(record["parent"]),
            test={name: Interval.of(found) for name, found in record["test"].items()},
            settings=dict(record["settings"]),
            seconds=float(record["training_seconds"]),
            loss=None if loss is None else float(loss),
            key=str(record["key"]),
            inputs={str(site): dict(scale) for site, scale in record["inputs"].items()},
            digest=str(record["digest"]),
            before={name: float(value) for name, value in record["before"].items()}
            if "before" in record
            else None,
        )


def _numbers(values: Mapping[str, float]) -> dict[str, Any]:
    return {name: to_json_number(value) for name, value in values.items()}


def weights_path(run: Path, name: str) -> Path:
    """Where the tensors of a fine-tuned trial lie."""
    return run / FOLDER / f"{name}.safetensors"


@dataclass(frozen=True)
class Recorded:
    """What the file holds: `hashes` of the run when it was begun; `end` is where its last whole line ends."""

    hashes: Mapping[str, str]
    records: tuple[FineTuned, ...]
    end: int


def read_finetuned(run: Path) -> list[FineTuned]:
    """All fine-tuned trials in a run's directory, in the order in which they were trained.

    A torn last line is left out. `belonging` tells which of them are of the run's log.

    Raises:
        RunError: the file is damaged before its last line, or of another version.
    """
    return list(read_recorded(run).records) if (run / NAME).exists() else []


def read_recorded(run: Path) -> Recorded:
    """Everything in the file, which must be there; a torn last line is left out.

    Raises:
        RunError: it can't be read, is damaged before its last line, or of another version.
    """
    path = run / NAME
    try:
        data = read_file(path)
    except OSError as error:
        raise RunError(f"'{path}' can't be read: {error.strerror}.") from error
    *lines, tail = data.split(b"\n")
    hashes: dict[str, str] = {}
    found: list[FineTuned] = []
    for number, line in enumerate(lines):
        try:
            record = unseal(line.decode())
            if number == 0:
                if record.get("finetuned") != VERSION:
                    raise ValueError(f"version {record.get('finetuned')}, not {VERSION}")
                hashes = {str(name): str(value) for name, value in record["hashes"].items()}
                continue
            found.append(FineTuned.of(record))
            if found[-1].trial.number != number - 1:
                raise ValueError("lines are missing, doubled or out of order")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise RunError(
                f"Line {number + 1} of '{path}' is damaged ({error}). Restore the file from a copy, or move it and "
                f"the folder '{FOLDER}' beside it away to begin again."
            ) from error
    if not lines:
        raise RunError(f"'{path}' holds no complete header line.")
    return Recorded(hashes, tuple(found), len(data) - len(tail))


def append(run: Path, record: FineTuned, hashes: Mapping[str, str]) -> None:
    """Add a line; when it returns it is on the disk.

    Raises:
        BitfrontError: it can't be written; whole lines before it are still there.
    """
    path = run / NAME
    if not path.exists():
        write_bytes_whole(path, f"{seal({'finetuned': VERSION, 'hashes': dict(hashes)})}\n".encode())
    end = read_recorded(run).end
    try:
        with path.open("r+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(f"{seal(record.to_json())}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BitfrontError(f"'{path}' can't be written: {error.strerror}.") from error
