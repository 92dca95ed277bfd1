"""Racing: who is dropped, that nobody is dropped wrongly, and that a run stays one that can be replayed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from bitfront import log, loop
from bitfront.front import front_of
from bitfront.loop import Progress
from bitfront.metric import Failure, Limit, Measurement, Metric, Objective, Objectives, Outcome
from bitfront.quality.base import Quality
from bitfront.quality.examples import mean
from bitfront.racing import Race, hindrance, race
from bitfront.racing.interval import half_width
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.results import Results, dropped_early
from bitfront.running import run_job
from bitfront.runtime.statistics import Contributed
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial

ACCURACY, LOSS = Metric("accuracy", "fraction", "max"), Metric("loss", "nats", "min")
SIZE = Metric("size", "bytes", "min")
HITS = Quality(ACCURACY, lambda *_: torch.empty(0), mean, of_means=True)
NATS = Quality(LOSS, lambda *_: torch.empty(0), mean, of_means=True, lowest=0.0)
F1 = Quality(Metric("f1", "fraction", "max"), lambda *_: torch.empty(0), lambda stack: 0.5)
BOTH = Objectives((Objective(ACCURACY), Objective(SIZE)))
PASSES = (32,) * 8
Values = NDArray[np.float64]


def candidate(number: int) -> Assignment:
    return Assignment.of({"a:weight": f"int{number}"})


@dataclass
class Table:
    """A judge that knows what each example contributes: (examples,) per quality, and the sizes."""

    stacks: Mapping[Assignment, Sequence[Values]]
    sizes: Mapping[Assignment, float]
    qualities: tuple[Quality, ...] = (HITS,)
    passes: tuple[int, ...] = PASSES
    broken: frozenset[Assignment] = frozenset()
    seen: dict[Assignment, int] = field(default_factory=dict)

    def costs(self, group: Sequence[Assignment]) -> dict[str, list[float]]:
        return {"size": [self.sizes[c] for c in group]}

    def contributed(self, candidates: Sequence[Assignment], passes: slice) -> list[Contributed | Failure]:
        assert candidates
        return [self._one(c, passes) for c in candidates]

    def _one(self, c: Assignment, passes: slice) -> Contributed | Failure:
        if c in self.broken and passes.start:
            return Failure("broke", 1.0)
        ends = np.cumsum((0, *self.passes))
        first, last, _ = passes.indices(len(self.passes))
        self.seen[c] = self.seen.get(c, 0) + int(ends[last] - ends[first])
        return Contributed(tuple(stack[None, ends[first] : ends[last]] for stack in self.stacks[c]), 1.0)

    def judged(self, contributed: Contributed, costs: Mapping[str, float]) -> Outcome:
        values = contributed.values(self.qualities)
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            return Failure(f"{bad[0]} is {values[bad[0]]}", contributed.seconds)
        return Measurement({**values, **costs}, contributed.seconds)


def table(*rows: tuple[float, Values]) -> Table:
    """Candidates 0, 1, … by size and hits."""
    return Table(
        {candidate(n): [hits] for n, (_, hits) in enumerate(rows)},
        {candidate(n): size for n, (size, _) in enumerate(rows)},
    )


def hits(rate: float, seed: int = 0) -> Values:
    return (np.random.default_rng(seed).random(256) < rate).astype(np.float64)


def raced(judge: Table, objectives: Objectives = BOTH, known: int = 1, z: float = 3.0) -> list[Outcome]:
    """The outcomes of all but the first `known`, which are on the front when it begins."""
    begun = Race(judge, objectives, ("size",), z)
    everybody = [*judge.sizes]
    outcomes = begun.evaluate(everybody[:known], whole=True)
    begun.enter(Trial.of(0, 0, everybody[:known], outcomes))
    return begun.evaluate(everybody[known:])


def examples(outcomes: Sequence[Outcome]) -> list[int | None]:
    return [o.examples if isinstance(o, Measurement) else -1 for o in outcomes]


def test_who_is_clearly_worse_and_larger_is_dropped_with_what_was_seen() -> None:
    judge = table((100, hits(0.95)), (120, hits(0.3, 1)))
    (outcome,) = raced(judge)
    assert outcome == Measurement({"accuracy": hits(0.3, 1)[:32].mean(), "size": 120.0}, 1.0, 32)
    assert judge.seen == {candidate(0): 256, candidate(1): 32}


def test_who_is_cheaper_is_judged_on_all_however_bad() -> None:
    assert examples(raced(table((100, hits(0.95)), (99, hits(0.0)), (100, hits(0.0))))) == [None, 32]


def test_equal_answers_prove_nothing() -> None:
    """Worse by a few at first, always the same before and after, or better in the end."""
    same = hits(0.9)
    few = same.copy()
    few[np.flatnonzero(same)[:3]] = 0.0
    late = np.concatenate([same[:128], np.ones(128)])
    assert examples(raced(table((100, same), (120, same), (120, late)))) == [None] * 2
    assert examples(raced(table((100, same), (120, few)))) == [224]
    flat = np.ones(256)
    judge = Table({candidate(n): [flat] for n in (0, 1)}, {candidate(0): 1.0, candidate(1): 2.0}, (NATS,))
    assert examples(raced(judge, Objectives((Objective(LOSS), Objective(SIZE))))) == [None]


def test_a_limit_that_is_clearly_broken_drops_and_one_that_may_be_kept_does_not() -> None:
    judge = table((100, hits(0.95)), (50, hits(0.2, 1)), (50, hits(0.93, 2)))
    limited = Objectives((Objective(SIZE),), (Limit(ACCURACY, low=0.9),))
    assert examples(raced(judge, limited)) == [32, None]
    ceiling = Objectives((Objective(SIZE),), (Limit(ACCURACY, high=0.1),))
    assert examples(raced(judge, ceiling, known=0)) == [32, 128, 32]


def test_with_costs_alone_who_is_dominated_is_dropped_at_once() -> None:
    judge = table((100, hits(0.95)), (101, hits(0.99)), (100, hits(0.99)))
    limited = Objectives((Objective(SIZE),), (Limit(ACCURACY, low=0.5),))
    assert examples(raced(judge, limited)) == [32, None]


def test_all_objectives_count() -> None:
    """Better loss, worse accuracy: on the front. Worse both: dropped."""
    rng = np.random.default_rng(0)
    nats = rng.exponential(1.0, 256)
    judge = Table(
        {
            candidate(0): [hits(0.95), nats],
            candidate(1): [hits(0.3, 1), nats / 2],
            candidate(2): [hits(0.3, 1), nats + 3],
        },
        {candidate(n): 100.0 + n for n in range(3)},
        (HITS, NATS),
    )
    three = Objectives((Objective(ACCURACY), Objective(LOSS), Objective(SIZE)))
    assert examples(raced(judge, three)) == [None, 32]


@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_weighted_sum_is_raced_as_one_objective(direction: Any) -> None:
    """A little larger and much better: stays. Much larger: dropped, though more accurate."""
    sign = 1.0 if direction == "max" else -1.0
    total = Objectives((Objective(ACCURACY, sign), Objective(SIZE, -sign * 0.01)), combine=direction)
    judge = table((100, hits(0.5)), (110, hits(0.95)), (300, hits(0.95)), (100, hits(0.95)))
    assert examples(raced(judge, total)) == [None, 32, None]


def test_failures_stay_failures() -> None:
    """Those of a later pass, and NaN, which proves nothing before all examples were seen."""
    nan = hits(0.9)
    nan[3] = math.nan
    judge = table((100, hits(0.9)), (120, hits(0.9, 1)), (120, nan))
    judge.broken = frozenset({candidate(1)})
    assert raced(judge) == [Failure("broke", 2.0), Failure("accuracy is nan", 8.0)]


def test_who_is_looked_at_when() -> None:
    assert race._rungs((64,) * 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert race._rungs((10,) * 64) == [4, 8, 16, 24, 32, 40, 48, 56, 64]
    assert race._rungs((5, 5, 2)) == [1, 2, 3]
    assert race._rungs((3,)) == [1]


def population(seed: int, size: int = 40) -> Table:
    """Hits that go together, as those of candidates of one model do; larger ones are a little better."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(256)
    rows: list[tuple[float, Values]] = []
    for _ in range(size):
        cost = float(rng.integers(50, 150))
        rate = 0.6 + 0.003 * (cost - 50) - 0.5 * rng.random() ** 3
        rows.append((cost, (difficulty + 0.1 * rng.standard_normal(256) < rate).astype(np.float64)))
    return table(*rows)


def wrongly_dropped(seed: int, z: float) -> tuple[int, int]:
    """How many of the true front were dropped, and how many candidates at all."""
    judge = population(seed)
    everybody = [*judge.sizes]
    whole = Trial.of(0, 1, everybody, Race(judge, BOTH, ("size",)).evaluate(everybody, whole=True))
    best = {trial.assignment for trial in front_of(whole, BOTH)}
    begun = Race(judge, BOTH, ("size",), z)
    trials: list[Trial] = []
    for start in range(0, len(everybody), 4):
        heat = everybody[start : start + 4]
        trials += Trial.of(start, 1, heat, begun.evaluate(heat))
        begun.enter(trials[start:])
    gone = {trial.assignment for trial in trials if trial.examples is not None}
    if not gone & best:
        assert {t.assignment: t.values for t in front_of(trials, BOTH)} == {
            t.assignment: t.values for t in whole if t.assignment in best
        }
    return len(gone & best), len(gone)


def test_the_true_front_is_found_and_without_intervals_it_would_not_be() -> None:
    found = [wrongly_dropped(seed, 3.0) for seed in range(25)]
    assert sum(wrong for wrong, _ in found) == 0
    assert sum(gone for _, gone in found) > 300  # of 1,000
    assert sum(wrongly_dropped(seed, 0.0)[0] for seed in range(25)) > 10


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_what_becomes_of_a_candidate_depends_on_itself_and_the_front(seed: int, cuts: list[int]) -> None:
    """Not on those that it is evaluated with, nor on what is kept of the front."""
    judge = population(seed, 24)
    everybody = [*judge.sizes]
    together, apart = Race(judge, BOTH, ("size",)), Race(judge, BOTH, ("size",))
    known = Trial.of(0, 0, everybody[:8], together.evaluate(everybody[:8], whole=True))
    together.enter(known)
    apart.enter(known[:3])
    apart.enter(known[2:])
    expected, found = together.evaluate(everybody[8:]), []
    for cut in [*cuts, *[16] * 2]:
        found += apart.evaluate(everybody[8:][len(found) : len(found) + cut])
    assert [(o.values, o.examples) for o in found] == [(o.values, o.examples) for o in expected]  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [32, 64, 128])
def test_intervals_hold(count: int) -> None:
    """Rare events and heavy tails: the mean of all lies beyond the interval as good as never."""
    rng = np.random.default_rng(0)
    pools = [
        (rng.random((4000, 512)) < 0.01).astype(float),
        (rng.random((4000, 512)) < 0.1).astype(float) - (rng.random((4000, 512)) < 0.1),
        rng.lognormal(0, 1.5, (4000, 512)) - rng.lognormal(0, 1.5, (4000, 512)),
    ]
    for pool in pools:
        seen = pool[:, :count]
        far = np.abs(seen.mean(1) - pool.mean(1)) > half_width(seen, 512, np.abs(pool).max(1))
        assert far.mean() < 0.006  # 0.0027, were they normal
        assert half_width(seen, 512, 0.0).mean() < 6 * pool.std() / math.sqrt(count)  # it says something


def test_what_racing_can_not_do_is_said() -> None:
    f1, latency = Objective(F1.metric), Metric("latency", "ms", "min")
    alone = Objectives((f1, Objective(SIZE)))
    assert hindrance(BOTH, (HITS,), ("size",)) == ""
    assert "f1 is no mean" in hindrance(alone, (HITS, F1), ("size",))
    assert hindrance(Objectives(alone.objectives, (Limit(ACCURACY, 0.5),)), (HITS, F1), ("size",)) == ""
    assert "latency is measured" in hindrance(BOTH, (HITS,), ("size",), (latency,))
    assert "no metric needs an example" in hindrance(Objectives((Objective(SIZE),)), (), ("size",))


def job(seed: int = 0, **search: Any) -> Job:
    """A model that is right about most of 300 examples, and candidates of every sort."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        y = model(x).argmax(1)
    order = y.argsort()  # a split that is sorted by class
    data = dict.fromkeys(("calibration", "search", "test"), (x[order], y[order]))
    formats = {"weight": ["int8c", "int4c", "int3c", "int2c"], "input": ["uint8", "uint2"]}
    document = {
        "space": [{"match": "type:linear", **formats}],
        "metrics": {"accuracy": {}, "size": {}, "loss": {"report": True}},
        "search": {"strategy": "random", "trials": 60, "seed": seed, "racing": True, **search},
    }
    return Job(from_document(document), Path(), model, data, 64)


def records(directory: Path) -> list[Any]:
    trials = log.read(directory / log.NAME).trials
    return [(t.batch, t.assignment, t.values, t.examples) for t in trials]


def front(results: Results) -> dict[Any, dict[str, float]]:
    return {member.assignment: member.metrics for member in results.front}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_search_with_racing_finds_the_same_front(seed: int) -> None:
    plain, results = run_job(job(seed, racing=False), None), run_job(job(seed), None)
    assert set(front(results)) == set(front(plain))
    for assignment, values in front(plain).items():
        assert front(results)[assignment] == pytest.approx(values, rel=1e-5)
    dropped = [trial for trial in results.trials if trial.examples is not None]
    assert len(dropped) > 10
    assert all(trial.batch for trial in dropped)  # never a reference
    assert not {trial.assignment for trial in dropped} & set(front(results))
    assert results.to_json()["dropped"] == len(dropped)
    assert any(f"Racing dropped {len(dropped)} of 60" in note for note in results.notes)
    assert plain.to_json()["dropped"] == 0
    assert not any("Racing" in note for note in plain.notes)


def test_with_wide_intervals_nobody_is_dropped_and_values_are_the_plain_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = run_job(job(racing=False), None)
    monkeypatch.setattr(Race.__init__, "__defaults__", (1e9,))
    results = run_job(job(), None)
    assert [t.assignment for t in results.trials] == [t.assignment for t in plain.trials]
    for mine, other in zip(results.trials, plain.trials, strict=True):
        assert mine.examples is None
        assert mine.values == pytest.approx(other.values, rel=1e-5, abs=1e-9)


def test_examples_are_judged_in_random_order() -> None:
    """A split sorted by class: the first pass has several, and another seed gives another order."""
    first, other = job().judge, job(seed=1).judge
    labels = [judge._parts[0].examples.targets for judge in (first, other)]
    targets = job().splits.search.targets
    assert targets is not None
    # The share of a class among the first examples is that among all, and wasn't before.
    shares = [float((found == targets[0]).double().mean()) for found in (targets, *labels)]  # type: ignore[union-attr]
    assert float((targets[: first.passes[0]] == targets[0]).double().mean()) > shares[0] + 0.4
    assert shares[1:] == pytest.approx(shares[:1] * 2, abs=0.2)
    assert len(first.passes) == 8
    assert not torch.equal(labels[0], labels[1])  # type: ignore[arg-type]


def test_contributions_add_up_to_the_outcome() -> None:
    """In passes or at once, alone or with others: what examples contribute is the same."""
    judge = job().judge
    points = [*job().space.uniform().values()]
    whole = judge.contributed(points, slice(None))
    first, rest = judge.contributed(points, slice(0, 3)), judge.contributed(points[:1], slice(3, None))
    assert isinstance(first[0], Contributed)
    assert isinstance(rest[0], Contributed)
    assert isinstance(whole[0], Contributed)
    for one, all_at_once in zip(first[0].followed_by(rest[0]).stacks, whole[0].stacks, strict=True):
        assert np.array_equal(one, all_at_once)
    costs = {name: values[0] for name, values in judge.costs(points).items()}
    assert judge.contributed([], slice(None)) == []
    outcome, plain = judge.judged(whole[0], costs), judge.evaluate(points)[0]
    assert isinstance(outcome, Measurement)
    assert isinstance(plain, Measurement)
    assert outcome.values == pytest.approx(plain.values, rel=1e-12)


@pytest.mark.parametrize("strategy", ["random", "nsga2"])
def test_a_run_that_was_killed_and_resumed_is_one_that_was_not(tmp_path: Path, strategy: str) -> None:
    run_job(job(strategy=strategy), tmp_path / "whole")
    expected = records(tmp_path / "whole")
    assert sum(examples is not None for *_, examples in expected) > 5

    def pressed(progress: Progress, trials: Sequence[Trial]) -> None:
        if progress.evaluated > progress.replayed + 7:
            raise KeyboardInterrupt

    for _ in range(20):
        results = run_job(job(strategy=strategy), tmp_path / "killed", pressed)
        if results.progress.stopped != "interrupted":
            break
    assert records(tmp_path / "killed") == expected


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    """Also where the smaller one ended within a heat."""
    for trials in (21, 33, 60):
        run_job(job(trials=trials), tmp_path / "longer")
    run_job(job(), tmp_path / "whole")
    assert records(tmp_path / "longer") == records(tmp_path / "whole")


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_how_long_it_takes_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """One candidate at a time, or as many as there are."""
    run_job(job(), tmp_path / "usual")
    monkeypatch.setattr(loop, "_PART", seconds)
    run_job(job(), tmp_path / "other")
    assert records(tmp_path / "other") == records(tmp_path / "usual")


def test_without_room_for_the_front_it_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(job(), tmp_path / "usual")
    monkeypatch.setattr(race, "_KEPT_BYTES", 0)
    monkeypatch.setattr(race, "_GROUP_BYTES", 1)
    run_job(job(), tmp_path / "other")
    assert records(tmp_path / "other") == records(tmp_path / "usual")


def test_dropped_trials_are_no_observations_of_another_run(tmp_path: Path) -> None:
    results = run_job(job(), tmp_path / "old")
    more = run_job(job(racing=False, trials=5), tmp_path / "new", warm_start=tmp_path / "old")
    whole = [t for t in results.trials if t.examples is None and t.assignment != FLOAT]
    assert more.observations == len(whole)


def test_the_note_counts_the_work_of_candidates() -> None:
    made = [Measurement({"size": 1.0}, examples=n) for n in (25, None, 50)]
    trials = Trial.of(0, 1, [candidate(n) for n in range(3)], made)
    assert "2 of 3 candidates" in dropped_early(trials, 100)
    assert "42% of the work" in dropped_early(trials, 100)  # 125 of 300 examples
    assert dropped_early(trials[1:2], 100) == ""
