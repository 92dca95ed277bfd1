"""What a measurement is made of. No test asserts how long anything takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitfront.errors import RecipeError
from bitfront.latency import finalists, protocol
from bitfront.latency.measure import MeasuredEvaluator
from bitfront.latency.protocol import Pairs, interleave
from bitfront.metric import Failure, Measurement
from bitfront.recipe.reading import from_document
from bitfront.running import run_job
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial
from tests.latency.bench import make, mlp, rules

_QUICK = {"no_kernel": "float", "iterations": 10}
_MIX = Assignment.of({"0:input": "uint8", "0:weight": "int8c", "2:weight": "int8c"})


def test_pairs_are_scored_by_a_low_percentile_of_each_side() -> None:
    candidate, reference = np.linspace(1, 2, 101), np.linspace(2, 4, 101)
    pairs = Pairs(candidate, reference, (0.0, 0.0))
    assert pairs.ratio == pytest.approx(1.02 / 2.04)
    assert pairs.percentile(95) == pytest.approx(1.95 / 2.04)
    assert pairs.dispersion == pytest.approx(0.25 / 1.5)


def test_the_sides_alternate_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    now = [0.0]

    def takes(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            now[0] += seconds

        return run

    monkeypatch.setattr(protocol, "clock", lambda threads: lambda: now[0])
    pairs = interleave(takes("c", 0.001), takes("r", 0.002))
    assert len(pairs.candidate) == 80
    assert pairs.candidate == pytest.approx(np.full(80, 0.001))
    assert pairs.reference == pytest.approx(np.full(80, 0.002))
    assert calls[:20] == ["c", "r"] * 10
    assert calls[20:24] == ["c", "r", "r", "c"]
    assert len(interleave(takes("c", 0.02), takes("r", 0.02)).candidate) == 20


@pytest.mark.parametrize(
    ("candidates", "references", "blocks", "expected"),
    [
        ([1.0, 1.01], [1.0, 1.0], 2, 1.0),
        (
            [1.3, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
            4,
            1.0,
        ),  # slow at first: both halves must have seen it quick
        ([1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0], 4, 1.0),  # the reference as well
        ([1.4, 1.3, 1.2, 1.1, 1.05, 1.0, 0.9, 0.8], [1.0] * 8, 8, 0.8),
    ],
)
def test_blocks_are_put_together_until_both_halves_agree(
    candidates: list[float], references: list[float], blocks: int, expected: float
) -> None:
    """Machines are quick or slow for longer than a block; disturbances only add time."""
    sides = zip([*candidates, 9.0], [*references, 9.0], strict=True)
    made = iter(Pairs(np.full(100, one), np.full(100, other), (0.5, 0.6)) for one, other in sides)
    seen: list[Pairs] = []

    def measure() -> Pairs:
        seen.append(next(made))
        return seen[-1]

    found = protocol.settled(measure)
    assert found.ratio == pytest.approx(expected)
    assert (len(seen), len(found.candidate)) == (blocks, 100 * blocks)
    assert found.load == (0.5, 0.6)


def test_one_thread_is_timed_by_its_own_clock() -> None:
    assert protocol.clock(1) is protocol.time.thread_time
    assert protocol.clock(2) is protocol.time.perf_counter


def test_latency_is_added_to_what_quality_says() -> None:
    job = make(
        mlp, rules(mlp), _QUICK, metrics={"accuracy": {}, "latency": {}, "throughput": {"report": True}}
    )
    (outcome,) = job.evaluator.evaluate([_MIX])
    assert isinstance(outcome, Measurement)
    assert set(outcome.values) == {"accuracy", "latency", "throughput"}
    assert outcome.values["latency"] * outcome.values["throughput"] == pytest.approx(1000)
    assert job.evaluator.evaluate([_MIX])[0].values == outcome.values  # pyright: ignore[reportAttributeAccessIssue]


def test_the_float_model_is_the_unit() -> None:
    measurer = make(mlp, rules(mlp), _QUICK).measurer
    assert measurer.measure(FLOAT).milliseconds == measurer.reference_milliseconds
    measurer.adopt({"latency": 5.0})
    found = measurer.measure_anew(_MIX)
    assert found.milliseconds == pytest.approx(5 * found.ratio)
    assert found.ratio == pytest.approx(found.measured / found.reference)


def test_every_layer_says_how_it_ran() -> None:
    found = make(mlp, rules(mlp), _QUICK).measurer.measure(_MIX)
    assert found.kernels == {"0": "int8", "2": "MatMulNBits 8", "5": "fp32"}
    narrow = Assignment.of({"0:input": "uint4", "0:weight": "int3c"})
    assert make(mlp, rules(mlp), _QUICK).measurer.measure(narrow).kernels["0"] == "int8 (holding 3 bits)"


def test_a_layer_that_runs_otherwise_is_a_failure_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting that turns a rewriting off, or with one fused away, the receipt must not be true."""
    from bitfront.latency import emit

    monkeypatch.setattr(emit._Writing, "_relu", lambda self, lowered, value, result: self._node(
        "Relu", [value], result, f"{lowered.layer.name}.relu"
    ))  # fmt: skip
    job = make(mlp, rules(mlp), _QUICK)
    (outcome,) = job.evaluator.evaluate([Assignment.of({"0:input": "uint8", "0:weight": "int8c"})])
    assert isinstance(outcome, Failure)
    assert "0 was to" in outcome.reason
    flagged = make(mlp, rules(mlp), {**_QUICK, "receipt": "flag"})
    found = flagged.measurer.measure(Assignment.of({"0:input": "uint8", "0:weight": "int8c"}))
    assert any("0 was to" in remark for remark in found.remarks)


def test_a_runtime_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make(mlp, rules(mlp), _QUICK)
    evaluator = job.evaluator
    assert isinstance(evaluator, MeasuredEvaluator)

    def fails(assignment: Assignment) -> None:
        raise RuntimeError("out of order\nand more")

    monkeypatch.setattr(evaluator.measurer, "measure", fails)
    (outcome,) = evaluator.evaluate([_MIX])
    assert isinstance(outcome, Failure)
    assert outcome.reason == "onnxruntime: RuntimeError: out of order"


def test_a_search_keeps_what_it_measured(tmp_path: Path) -> None:
    def job(trials: int) -> Any:
        search = {"strategy": "random", "trials": trials}
        return make(mlp, rules(mlp), _QUICK, search=search)

    first = run_job(job(3), tmp_path)
    second = run_job(job(5), tmp_path)
    assert [t.values for t in second.trials[: len(first.trials)]] == [t.values for t in first.trials]
    assert second.baseline.metrics["latency"] == first.baseline.metrics["latency"]
    document = json.loads((tmp_path / finalists.FILE).read_text(encoding="utf-8"))
    assert document["float_ms"] == first.baseline.metrics["latency"]
    assert [member["trial"] for member in document["front"]] == [m.trial.number for m in second.front]
    assert all(member["again"]["kernels"] for member in document["front"])


def test_a_run_can_not_go_on_with_another_runtime_setting(tmp_path: Path) -> None:
    search = {"strategy": "random", "trials": 2}
    run_job(make(mlp, rules(mlp), _QUICK, search=search), tmp_path)
    with pytest.raises(Exception, match="latency"):
        run_job(make(mlp, rules(mlp), {**_QUICK, "batch": 4}, search=search), tmp_path)


def test_finalists_say_how_well_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    measurer = make(mlp, rules(mlp), _QUICK).measurer
    again = measurer.measure(_MIX)
    monkeypatch.setattr(measurer, "measure_anew", lambda assignment: again)
    recorded = {"latency": again.milliseconds * 1.1, "accuracy": 0.5}
    found = finalists.measure_again(measurer, [Trial(7, 1, _MIX, Measurement(recorded))])
    assert "differ from the first measurement by 9.1% (median), 9.1% at most" in found.notes[0]
    assert "too busy" in found.notes[0]


def test_the_front_is_compared_with_the_quickest_uniform_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    measurer = make(mlp, rules(mlp), _QUICK).measurer
    real = measurer.measure(_MIX)
    times = {_MIX: 0.9, FLOAT: 1.0}
    monkeypatch.setattr(
        measurer, "measure_anew", lambda assignment: replace(real, milliseconds=times[assignment])
    )
    uniform = Trial(1, 0, FLOAT, Measurement({"latency": 1.0}))

    def said(latency: float) -> str:
        best = Trial(7, 1, _MIX, Measurement({"latency": latency}))
        return finalists.measure_again(measurer, [best], [uniform]).notes[-1]

    assert said(0.91).endswith("trial 1, 1 ms (again: 1): quicker beyond noise.")
    assert said(0.99).endswith(": a tie.")
    times[_MIX] = 1.1
    assert said(1.2).endswith("slower beyond noise.")
    same = finalists.measure_again(measurer, [uniform], [uniform]).notes[-1]
    assert same == "No member of the front is quicker than the uniform assignment of trial 1."


def test_openvino_reads_the_same_file() -> None:
    pytest.importorskip("openvino")
    job = make(mlp, rules(mlp), {**_QUICK, "runtime": "openvino"})
    found = job.measurer.measure(_MIX)
    assert found.milliseconds > 0
    lowered = job.lowering.lower(_MIX)
    session = job.measurer._session(job.measurer.emitter(lowered))
    from bitfront.latency.simulate import simulate

    inputs = job.splits.search[:1].inputs
    simulated = simulate(job.lowering.network, lowered, inputs)
    assert np.allclose(session.outputs([tensor.numpy() for tensor in inputs]), simulated.numpy(), atol=0.05)
    assert session.check(lowered, 1) == ""
    asked = session.check(job.lowering.lower(FLOAT), 1)
    assert asked.startswith("lowering: 0 was to run in fp32, but OpenVINO runs ")


def test_mistakes_in_the_table_are_named() -> None:
    document: dict[str, Any] = {"space": rules(mlp), "metrics": {"latency": {}}}
    with pytest.raises(RecipeError, match=r"'thread' is not a key of \[latency\] \(did you mean 'threads'"):
        from_document(document | {"latency": {"thread": 2}})
    wrong = document | {"metrics": {"latency": {"threads": 2}}}
    with pytest.raises(RecipeError, match=r"'threads' is a key of \[latency\], not of the metric latency"):
        _ = make(mlp, rules(mlp), metrics=wrong["metrics"]).goals
