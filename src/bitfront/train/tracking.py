"""A training told to its trackers: each epoch once over all sittings; their trouble is not the training's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bitfront import plugins
from bitfront.errors import InputError, reason_of
from bitfront.files import make_directory, write_whole
from bitfront.trackers import Ending, Session, Tracker
from bitfront.trackers.base import Setting, Status
from bitfront.train.loop import Epoch

STATE = "training-trackers.json"  # not that of a search, which may share the directory


def made_trackers(names: Sequence[str]) -> dict[str, Tracker]:
    """Fresh trackers by name; InputError where there is none, or its own package isn't installed."""
    return {name: plugins.load("trackers", name)() for name in names}


class TrainingTracking:
    """The trackers of one training, by name; without any, nothing is done or written.

    Steps are numbers of epochs. How far each tracker got is kept in training-trackers.json of `directory`,
    with the `key` of the training (a hash of all that its epochs depend on, settings included): one that is
    resumed tells the rest; another one begins anew, and so does the same one from its first epoch. The first
    thing that a tracker raises is told to `say`, and is its last.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], directory: Path, key: str, say: Callable[[str], None]
    ) -> None:
        self._trackers = dict(trackers)
        self._begun: list[str] = []
        self._directory = directory
        self._key = key
        self._say = say
        self._state: dict[str, dict[str, Any]] = {}
        if trackers:
            make_directory(directory)
            self._state = _read_state(directory / STATE, key)

    def begin(self, name: str, settings: Mapping[str, Setting], done: Iterable[Epoch] = ()) -> None:
        """Before the first epoch of this sitting; `done` are those of earlier ones."""
        done = list(done)
        for tracker in self._trackers:
            known = self._state.get(tracker, {})
            # A checkpoint is written before its epoch is told: who was told more knows of a training that ended.
            if known.get("first", 1) > len(done) + 1:
                known = {}
            identity, first = known.get("identity", ""), known.get("first", 1)
            with self._guarded(tracker):
                session = Session(name, dict(settings), self._directory, identity, first)
                given = self._trackers[tracker].begin(session)
                self._begun.append(tracker)
                self._state[tracker] = {"identity": given, "first": first if given == identity else 1}
        self._save()
        for epoch in done:
            self.tell(epoch)

    def tell(self, epoch: Epoch) -> None:
        """An epoch is done."""
        for tracker in list(self._begun):
            if epoch.number >= self._state[tracker]["first"]:
                with self._guarded(tracker):
                    self._trackers[tracker].scalars(epoch.number, epoch.scalars)
                    self._trackers[tracker].flush()
                    self._state[tracker]["first"] = epoch.number + 1
        self._save()

    @contextmanager
    def ending(self) -> Iterator[Callable[[Mapping[str, float], Sequence[Path]], None]]:
        """Around the training; what it gives is called with single figures and files once all went well.

        However the block is left, the trackers are told how.
        """
        summary: dict[str, float] = {}
        files: list[Path] = []

        def finish(figures: Mapping[str, float], kept: Sequence[Path] = ()) -> None:
            summary.update(figures)
            files.extend(kept)

        status: Status = "failed"
        try:
            yield finish
            status = "done" if summary else "failed"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            for tracker in list(self._begun):
                with self._guarded(tracker):
                    self._trackers[tracker].finish(Ending(status, summary, (), files))
            self._begun.clear()

    def _save(self) -> None:
        if self._begun:
            state = {"key": self._key, "trackers": self._state}
            write_whole(self._directory / STATE, json.dumps(state, indent=1))

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Whatever the tracker raises is a note, and it is told nothing more."""
        try:
            yield
        except Exception as error:
            if name in self._begun:
                self._begun.remove(name)
            self._say(f"The tracker {name} failed ({reason_of(error)}). The training goes on without it.")


def _read_state(path: Path, key: str) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["key"] != key:
            return {}
        told = found["trackers"].items()
        return {name: {"identity": str(t["identity"]), "first": int(t["first"])} for name, t in told}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is damaged ({error!r}). It says which epochs the trackers have; without it they are told "
            "everything again: delete it, or leave trackers out."
        ) from error
