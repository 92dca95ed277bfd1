"""`bitfront suggest`: what is measured, what is predicted, and what would have to give."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.recipe import Job, read
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.space import FLOAT, Assignment
from bitfront.suggest.knowledge import knowledge, measure, read_suggestions
from bitfront.suggest.solving import Solver
from bitfront.trial import Trial

Bitfront = Callable[..., Any]


@pytest.fixture
def run(folder: Path, bitfront: Bitfront) -> Path:
    """A search that saw some 15 of 36 points, with a loss."""
    text = (folder / "recipe.toml").read_text().replace("[search]", "loss = { goal = 'min' }\n[search]")
    (folder / "recipe.toml").write_text(text)
    said = bitfront("search", "recipe.toml", "--run", "mine", "--set", "search.trials=12", "--quiet")
    assert said.status == 0, said.err
    return folder / "mine"


def trials_of(run: Path) -> list[Trial]:
    return [t for t in log.read(run / "trials.jsonl").trials if t.assignment != FLOAT]


def quietly(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is evaluated from now on."""
    asked: list[Any] = []
    evaluate = ModelEvaluator.evaluate

    def counting(self: ModelEvaluator, candidates: Sequence[Any]) -> Any:
        asked.extend(candidates)
        return evaluate(self, candidates)

    monkeypatch.setattr(ModelEvaluator, "evaluate", counting)
    return asked


def test_measured_are_the_front_within_the_limits(
    run: Path, bitfront: Bitfront, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = quietly(monkeypatch)
    document = bitfront(
        "suggest", run, "--max", "size=200 B", "--min", "accuracy=baseline - 30%", "--json"
    ).document
    base = log.read(run / "trials.jsonl").trials[0].values["accuracy"]
    assert document["limits"] == [
        {"metric": "accuracy", "min": pytest.approx(0.7 * base), "max": None},
        {"metric": "size", "min": None, "max": 200.0},
    ]
    kept = [t for t in trials_of(run) if t.values["size"] <= 200 and t.values["accuracy"] >= 0.7 * base]
    scores = {t.number: (-t.values["accuracy"], t.values["size"], t.values["loss"]) for t in kept}
    best = {
        score
        for score in scores.values()
        if not any(all(a <= b for a, b in zip(o, score, strict=True)) and o != score for o in scores.values())
    }
    found = document["measured"]
    assert {scores[entry["trial"]] for entry in found} == best
    assert all(entry["assignment"] == dict(trials_of(run)[entry["trial"] - 1].assignment) for entry in found)
    assert asked == []  # nothing is evaluated
    assert not (run / "suggestions.jsonl").exists()


def test_predicted_are_new_and_their_costs_are_exact(folder: Path, run: Path, bitfront: Bitfront) -> None:
    document = bitfront("suggest", run, "--max", "size=200", "--max", "loss=1.2", "--json").document
    assert document["predicted"]
    recipe, _ = read(folder / "recipe.toml")
    job = Job(recipe, folder)
    known = {trial.assignment for trial in trials_of(run)}
    for entry in document["predicted"]:
        assignment = Assignment.of(entry["assignment"])
        assert assignment in job.space
        assert assignment not in known
        (outcome,) = job.evaluator.evaluate([assignment])
        assert entry["costs"]["size"] == outcome.values["size"] <= 200  # type: ignore[union-attr]
        assert set(entry["predictions"]) == {"accuracy", "loss"}
        for name, found in entry["predictions"].items():
            assert found["low"] <= found["value"] <= found["high"]
            if name == "accuracy":
                assert 0 <= found["low"] <= found["high"] <= 1
        assert entry["predictions"]["loss"]["value"] <= 1.2 + 1e-6
        assert 0 < entry["chance"] <= 1
        if entry["cautious"]:
            assert entry["predictions"]["loss"]["high"] <= 1.2
    assert set(document["surrogates"]) == {"accuracy", "loss"}
    assert all(-1 <= found["rank_correlation"] <= 1 for found in document["surrogates"].values())


def test_measuring_adds_to_the_run_and_leaves_its_log_alone(run: Path, bitfront: Bitfront) -> None:
    before = (run / "trials.jsonl").read_bytes()
    limits = ("--max", "size=200", "--max", "loss=1.2")
    guessed = bitfront("suggest", run, *limits, "--json").document
    document = bitfront("suggest", run, *limits, "--measure", "--json").document
    assert [e["assignment"] for e in document["predicted"]] == [e["assignment"] for e in guessed["predicted"]]
    kept = log.read(run / "suggestions.jsonl").trials
    assert [dict(trial.assignment) for trial in kept] == [e["assignment"] for e in document["predicted"]]
    for trial, entry in zip(kept, document["predicted"], strict=True):
        assert entry["metrics"] == trial.values
        assert entry["suggestion"] == trial.number
        assert entry["keeps_limits"] == (trial.values["size"] <= 200 and trial.values["loss"] <= 1.2)
    inside = [trial.number for trial in kept if trial.values["loss"] <= 1.2]
    named = [entry["suggestion"] for entry in document["measured"] if "suggestion" in entry]
    assert set(named) <= set(inside)
    assert (run / "trials.jsonl").read_bytes() == before
    # The search goes on as if nothing had been added, and later answers know the suggestions.
    again = bitfront("search", "recipe.toml", "--run", "mine", "--set", "search.trials=12", "--json")
    assert again.status == 0, again.err
    assert (run / "trials.jsonl").read_bytes() == before
    later = bitfront("suggest", run, *limits, "--measure", "--json").document
    assert later["trials"] == guessed["trials"] + len(kept) + len(later["predicted"])
    assignments = [trial.assignment for trial in log.read(run / "suggestions.jsonl").trials]
    assert len(assignments) == len(set(assignments)) == len(kept) + len(later["predicted"])


def test_when_nothing_keeps_the_limits(run: Path, bitfront: Bitfront) -> None:
    limits = {"size": 160.0, "loss": 1.0}
    trials = trials_of(run)
    assert not any(all(t.values[n] <= v for n, v in limits.items()) for t in trials)
    arguments = [part for name, value in limits.items() for part in ("--max", f"{name}={value}")]
    document = bitfront("suggest", run, *arguments, "--json").document
    assert document["measured"] == []
    assert document["nearest"] is not None
    found = {entry["metric"]: entry for entry in document["relaxations"] if entry["by"] == "measured"}
    for name, other in (("size", "loss"), ("loss", "size")):
        possible = [t.values[name] for t in trials if t.values[other] <= limits[other]]
        assert (name in found) == bool(possible)
        if possible:
            assert found[name]["needed"] == min(possible)
            assert trials[found[name]["trial"] - 1].values[name] == min(possible)
    shown = bitfront("suggest", run, *arguments)
    assert shown.status == 0, shown.err
    assert "Nothing that was measured keeps these limits." in shown.out
    assert "The nearest miss is trial" in shown.out


def test_costs_that_the_run_did_not_log_can_be_limited(folder: Path, run: Path, bitfront: Bitfront) -> None:
    job = Job(read(folder / "recipe.toml", ("metrics.bit_ops.report=true",))[0], folder)
    cost = next(cost for cost in job.goals.costs if cost.metric.name == "bit_ops").compile(job.graph)
    middle = sorted(cost(trial.assignment) for trial in trials_of(run))[10]
    document = bitfront("suggest", run, "--max", f"bit_ops={middle}", "--json").document
    assert document["measured"]
    for entry in document["measured"]:
        assert entry["metrics"]["bit_ops"] == cost(Assignment.of(entry["assignment"])) <= middle
    for entry in document["predicted"]:
        assert entry["costs"]["bit_ops"] == cost(Assignment.of(entry["assignment"])) <= middle


def test_a_weighted_sum(folder: Path, bitfront: Bitfront) -> None:
    text = (
        (folder / "recipe.toml").read_text().replace('size = { goal = "min" }', "size = { weight = -0.001 }")
    )
    (folder / "sum.toml").write_text(f'{text}combine = "weighted-sum"\ndirection = "max"\n')
    bitfront("search", "sum.toml", "--run", "sum", "--set", "search.trials=15", "--quiet")
    said = bitfront("suggest", "sum", "--max", "size=200", "--json")
    assert said.status == 0, said.err
    (best,) = said.document["measured"]
    trials = [t for t in trials_of(folder / "sum") if t.values["size"] <= 200]
    total = max(t.values["accuracy"] - 0.001 * t.values["size"] for t in trials)
    assert best["metrics"]["accuracy"] - 0.001 * best["metrics"]["size"] == total
    for entry in said.document["predicted"]:
        value = entry["predictions"]["accuracy"]["value"] - 0.001 * entry["costs"]["size"]
        assert value > total
    assert bitfront("suggest", "sum", "--max", "size=200").status == 0


def test_where_all_is_measured_nothing_is_predicted(run: Path, bitfront: Bitfront) -> None:
    """However the surrogate errs, a point that was measured is no candidate."""
    change = ("--set", "search.strategy=brute-force", "--set", "search.trials=36")
    bitfront("search", "recipe.toml", "--run", "all", "--quiet", *change)
    for limits in (("--max", "loss=1.0"), ("--max", "size=150"), ("--min", "accuracy=0.5")):
        assert bitfront("suggest", "all", *limits, "--json").document["predicted"] == []


def test_suggestions_are_numbered_on(folder: Path, run: Path) -> None:
    known = knowledge(run, [], [])
    new = [known.space.point(n) for n in range(36)]
    new = [point for point in new if point not in {k.trial.assignment for k in known.known}]
    for part in (new[:2], new[2:3], new[3:5]):
        measure(known, part)
    assert [(t.number, t.assignment) for t in read_suggestions(run)] == list(enumerate(new[:5]))
    labels = [k.label for k in knowledge(run, [], []).known if k.suggestion]
    assert labels == [{"suggestion": number} for number in range(5)]


def test_limits_on_what_should_be_large(run: Path) -> None:
    """Their degradations are turned round: at least 0.4 of a fraction is at most so much worse than float."""
    known = knowledge(run, ["accuracy=0.4"], ["accuracy=0.6"])
    solver, base = Solver(known), known.baseline["accuracy"]
    (limit,) = known.objectives.limits
    assert solver.degradations(limit) == pytest.approx((base - 0.6, base - 0.4))
    (loss,) = knowledge(run, ["loss=1"], ["loss=2"]).objectives.limits
    base = known.baseline["loss"]
    assert solver.degradations(loss) == pytest.approx((1 - base, 2 - base))


def test_few_trials_predict_nothing(folder: Path, bitfront: Bitfront) -> None:
    bitfront("search", "recipe.toml", "--run", "few", "--set", "search.trials=1", "--quiet")
    document = bitfront("suggest", "few", "--max", "size=1 KiB", "--json").document
    assert document["predicted"] == []
    assert document["measured"]
    assert "Nothing is predicted" in document["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max", "sizee=3"), "'sizee' is not a metric (did you mean 'size'?)"),
        (("--max", "size"), "METRIC=LIMIT"),
        (("--max", "size="), "METRIC=LIMIT"),
        (("--max", "size=3 parsecs"), "parsecs"),
        (("--max", "size=1", "--max", "size=2"), "twice"),
        (("--max", "sqnr=3"), "was not measured in this run"),
        (("--min", "size=3 KiB", "--max", "size=2 KiB"), "at least"),
    ],
)
def test_mistakes(run: Path, bitfront: Bitfront, arguments: tuple[str, ...], said: str) -> None:
    found = bitfront("suggest", run, *arguments)
    assert found.status == 2
    assert said in " ".join(found.err.split())


def test_no_run(folder: Path, bitfront: Bitfront) -> None:
    found = bitfront("suggest", "nowhere", "--max", "size=1")
    assert found.status == 2
    assert "nowhere" in found.err


def test_a_model_that_changed_is_refused(folder: Path, run: Path, bitfront: Bitfront) -> None:
    parts = folder / "parts.py"
    parts.write_text(parts.read_text().replace("def net(width=8)", "def net(width=9)"))
    found = bitfront("suggest", run, "--max", "size=1 KiB")
    assert found.status == 2
    assert "changed since" in found.err
