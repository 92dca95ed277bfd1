"""A run against what is there now: hashes and versions first, then every value of the baseline and the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront.export.opening import OpenRun, read_run
from bitfront.files import read_file
from bitfront.finetune import belonging
from bitfront.manifest import hardware, versions
from bitfront.recipe.fingerprints import of_examples, of_text
from bitfront.verify.changes import Change, of_hashes, of_log, of_settings, of_surroundings
from bitfront.verify.finetuned import finetuned_disagreements, finetuned_values
from bitfront.verify.latencies import latency_values
from bitfront.verify.qualities import values_on_search, values_on_test
from bitfront.verify.recorded import Record, record_of
from bitfront.verify.shipped import latency_disagreements, shipped_values
from bitfront.verify.sums import sums
from bitfront.verify.values import Value, Verdict, worst

_FROM_PYTHON = (
    "it can't be measured again in a fresh process. A run of a recipe can: name the model and the data there"
)
_OTHER_MODEL = (
    "Nothing was measured: the candidates of the run don't apply to a model or a space with other layers, sites or "
    "formats."
)
_TRAINED = "Candidates were trained again, as the search did (finetune_steps)."
_AMPLIFIED = (
    "With other versions or on another machine training makes more of last bits: qualities may lie three standard "
    "errors off, instead of half of one."
)


@dataclass(frozen=True)
class Verification:
    """What changed since the run, every value, and notes. `threads` are torch's, those of the run."""

    run: Path
    changes: Sequence[Change]
    values: Sequence[Value]
    notes: Sequence[str]
    threads: int

    @property
    def verdict(self) -> Verdict:
        """Of the whole run: different where a value is, or something that it was made from."""
        changed: list[Verdict] = ["different" for change in self.changes if change.matters]
        return worst([*changed, *(value.verdict for value in self.values)])

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "verdict": self.verdict,
            "changes": [change.to_json() for change in self.changes],
            "threads": self.threads,
            "values": [value.to_json() for value in self.values],
            "notes": list(self.notes),
        }


def verify_here(directory: Path) -> Verification:
    """Verify a run in this process, with as many threads as torch has here.

    Raises:
        InputError: there is no run, it is damaged, its model or data can't be had, or it began from Python.
    """
    opened = read_run(directory, _FROM_PYTHON)
    job = opened.job
    changes = _changes(opened)
    places = {change.what for change in changes if change.matters}
    record = record_of(opened, not any(place.startswith(("hashes.recipe", "recipe.")) for place in places))
    changes += record.changes
    changes += latency_disagreements(directory, opened.trials)
    tuned = belonging(directory, opened.header["hashes"], opened.trials)
    changes += finetuned_disagreements(tuned)
    notes = list(record.notes)
    values: list[Value] = []
    if {"hashes.graph", "hashes.space"} & places:
        notes.append(_OTHER_MODEL)
    else:
        to_the_last_bit = not any(change.bits for change in changes)
        if job.recipe.search.finetune_steps:
            notes.append(_TRAINED if to_the_last_bit else f"{_TRAINED} {_AMPLIFIED}")
        values += values_on_search(job, record.candidates, to_the_last_bit)
        values += latency_values(job, directory, record.candidates, notes)
        if any(candidate.total is not None for candidate in record.candidates):
            values += sums(opened.objectives, record.candidates, values)
        values += shipped_values(job, directory, opened.trials, to_the_last_bit)
        values += values_on_test(job, record.candidates, to_the_last_bit)
        values += finetuned_values(job, tuned, opened.trials, notes)
    threads = hardware(job)["torch_threads"]
    order = {name: place for place, name in enumerate(_in_order(record, values))}
    values.sort(key=lambda value: order[value.trial])
    return Verification(directory, changes, values, notes, threads)


def _in_order(record: Record, values: Sequence[Value]) -> list[int | str]:
    """The float model, the front, and what else has values."""
    return list(dict.fromkeys([*(c.trial.number for c in record.candidates), *(v.trial for v in values)]))


def _changes(opened: OpenRun) -> list[Change]:
    job, manifest = opened.job, opened.manifest
    recorded = manifest.get("hashes", {})
    test = job.splits.test
    found = {
        **job.hashes(),
        "recipe": of_text(read_file(opened.directory / "recipe.toml").decode()),
        **({} if test is None else {"test": of_examples(test)}),
    }
    return [
        *of_hashes(recorded, found),
        *of_log(recorded, opened.header["hashes"]),
        *of_settings(opened.header, job.header()),
        *of_surroundings(manifest, {"versions": versions(job), "hardware": hardware(job)}),
    ]
