"""Runs of a made-up network, as the page takes them: no model, no data, any number of trials."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bitfront.costs.base import Term
from bitfront.formats import format
from bitfront.loop import Budget, Progress
from bitfront.metric import Failure, Limit, Measurement, Metric, Objective, Objectives
from bitfront.report.page_source import Source
from bitfront.results import Interval, Member, Results, front_of
from bitfront.space import FLOAT, Space, Variable
from bitfront.trial import Trial

ACCURACY = Metric("accuracy", "fraction", "max")
SIZE = Metric("size", "bytes", "min")
LOSS = Metric("loss", "nats", "min")
BIT_OPS = Metric("bit_ops", "", "min")
FORMATS = ("int8c", "int4c", "int2c")


@dataclass(frozen=True)
class Made:
    """What kind of run is wanted."""

    trials: int = 40
    layers: Sequence[str] = ("stem", "block.1", "block.2", "head")
    objectives: tuple[Metric, ...] = (ACCURACY, SIZE)
    limits: tuple[Limit, ...] = ()
    combine: bool = False
    tested: bool = True
    failures: int = 0
    reason: str = "out of memory"
    infinite: bool = False
    terms: bool = True
    notes: Sequence[str] = field(default_factory=list)

    def source(self) -> Source:
        """The run."""
        sites = [f"{layer}:weight" for layer in self.layers]
        space = Space(tuple(Variable((site,), FORMATS) for site in sites))
        trials = self._trials(space)
        weights = {"accuracy": -1.0, "loss": 1.0, "size": 1e-5, "bit_ops": 1e-9}
        objectives = Objectives(
            tuple(Objective(m, weights[m.name] if self.combine else 1.0) for m in self.objectives),
            self.limits,
            "min" if self.combine else None,
        )
        members = [self._member(trial) for trial in front_of(trials, objectives)]
        results = Results(
            run=None,
            space=space,
            objectives=objectives,
            trials=tuple(trials),
            observations=0,
            resumed=0,
            baseline=self._member(trials[0]),
            uniform={name: trials[1 + place] for place, name in enumerate(FORMATS)},
            front=tuple(members),
            progress=Progress(Budget(self.trials), self.trials, duplicates=7, stopped="budget"),
            seconds=12.5,
            notes=list(self.notes),
            test_key="feedbeef",
            spent={"model": 9.0, "log": 1.0},
        )
        terms = {"size": tuple(_term(site) for site in sites)} if self.terms else {}
        return Source(
            run="runs/made up",
            document=results.to_json(),
            objectives=objectives,
            metrics=(ACCURACY, SIZE, LOSS, BIT_OPS),
            exact=("size", "bit_ops"),
            trials=tuple(trials),
            manifest={"seed": 3, "splits": {"search": 400, "test": 300}, "versions": {"torch": "2"}},
            recipe="[model]\n",
            header={"strategy": "random"},
            terms=terms,
            missing="" if self.terms else "The model is gone.",
        )

    def _trials(self, space: Space) -> list[Trial]:
        chosen = random.Random(0)
        rows = [[place] * len(space.variables) for place in range(len(FORMATS))]
        while len(rows) < self.trials + len(FORMATS):
            rows.append([chosen.randrange(len(FORMATS)) for _ in space.variables])
        found = [Trial(0, 0, FLOAT, Measurement(_values([8.0] * len(space.variables), 0.0)))]
        for number, row in enumerate(rows, start=1):
            bits = [(8.0, 4.0, 2.0)[choice] for choice in row]
            values = _values(bits, chosen.gauss(0, 0.002))
            if self.infinite and number % 7 == 0:
                values["loss"] = math.inf
            failed = len(FORMATS) < number <= len(FORMATS) + self.failures
            outcome = Failure(self.reason) if failed else Measurement(values)
            found.append(Trial(number, number > len(FORMATS), space.assignment(row), outcome))
        return found

    def _member(self, trial: Trial) -> Member:
        value = trial.values["accuracy"]
        return Member(trial, {"accuracy": Interval(value, value - 0.01, value + 0.01)} if self.tested else {})


def _values(bits: Sequence[float], noise: float) -> dict[str, float]:
    """Layers differ in how much they mind few bits."""
    harm = sum((place + 1) * (8 - b) ** 2 for place, b in enumerate(bits)) / (60.0 * len(bits) ** 2)
    return {
        "accuracy": min(1.0, max(0.0, 0.95 - 0.5 * harm + noise)),
        "size": 1000.0 * sum(bits) * (1 if noise else 4),
        "loss": 0.1 + harm - noise,
        "bit_ops": 1e6 * sum(bits),
    }


def _term(site: str) -> Term:
    return Term((site,), lambda formats: 1000.0 * format(str(formats[0])).element.bits)
