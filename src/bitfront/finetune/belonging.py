"""Which fine-tuned trials are of the run's log: a search that was begun anew leaves those of the log before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitfront.errors import RunError
from bitfront.finetune.record import FOLDER, NAME, FineTuned, read_recorded
from bitfront.study import changes
from bitfront.trial import Trial

_AWAY = f"Move {NAME} and the folder '{FOLDER}' out of"


@dataclass(frozen=True)
class Belonging:
    """The fine-tuned trials that a run's directory holds.

    Attributes:
        run: the directory.
        own: those of the run's log, in the order in which they were trained.
        foreign: why each other one is not of the log, by its name.
    """

    run: Path
    own: tuple[FineTuned, ...]
    foreign: Mapping[str, str]

    @property
    def notes(self) -> list[str]:
        """What is left out, for people; nothing where all are of the log."""
        if not self.foreign:
            return []
        several = len(self.foreign) != 1
        names = f"trial{'s' * several} {', '.join(self.foreign)} of '{self.run}' {'are' if several else 'is'}"
        return [
            f"Fine-tuned {names} left out, not being of its log: {self._reasons}. {_AWAY} the run to "
            "fine-tune anew."
        ]

    @property
    def _reasons(self) -> str:
        return "; ".join(dict.fromkeys(self.foreign.values()))

    def check(self) -> None:
        """Refuse to record more beside trials of another log.

        Raises:
            RunError: there are some.
        """
        if self.foreign:
            raise RunError(
                f"'{self.run / NAME}' is of another log than that of the run: {self._reasons}. Nothing is added to "
                f"it. {_AWAY} '{self.run}', and fine-tune again."
            )


def belonging(run: Path, hashes: Mapping[str, Any], trials: Sequence[Trial]) -> Belonging:
    """The fine-tuned trials in a run's directory, against the hashes in its log's header and the log's trials.

    A trial is of the log where the whole file was begun with the log's hashes, and the trial that it names as
    the one it came from has its assignment.

    Raises:
        RunError: the file is damaged before its last line, or of another version.
    """
    if not (run / NAME).exists():
        return Belonging(run, (), {})
    found = read_recorded(run)
    if changed := changes({"hashes": found.hashes}, {"hashes": dict(hashes)}):
        words = f"{' and '.join(changed.values())} since"
        return Belonging(run, (), {record.name: words for record in found.records})
    foreign = {record.name: why for record in found.records if (why := _why_foreign(record, trials))}
    return Belonging(run, tuple(r for r in found.records if r.name not in foreign), foreign)


def _why_foreign(record: FineTuned, trials: Sequence[Trial]) -> str:
    """Why the log isn't the one that the trial's parent was in; "" where it is."""
    if not 0 <= record.parent < len(trials):
        return f"the log has no trial {record.parent}, from which {record.name} came"
    if trials[record.parent].assignment != record.trial.assignment:
        return f"trial {record.parent} in the log has other formats than {record.name}, which came from it"
    return ""
