"""Latencies against what was recorded of them; no test looks at a clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitfront.errors import RunError
from bitfront.latency.measure import Latency, Measurer
from bitfront.space import Assignment
from bitfront.verify import verify_here
from bitfront.verify.latencies import measured_within, repeatability
from tests.verify.conftest import edit


def as_recorded(run: Path, monkeypatch: pytest.MonkeyPatch, factor: Callable[[int], float]) -> list[int]:
    """Let every latency be what was recorded times a factor that depends on how many were measured before."""
    front = json.loads((run / "front.json").read_text())["front"]
    recorded = {tuple(sorted(m["assignment"].items())): m["metrics"] for m in front}
    measured: list[int] = []
    anew = Measurer.measure_anew

    def measure(self: Measurer, assignment: Assignment) -> Latency:
        found = anew(self, assignment)
        values = recorded[tuple(sorted(assignment.items()))]
        by = factor(len(measured))
        measured.append(1)
        return replace(found, milliseconds=values["latency"] * by, throughput=values["throughput"] / by)

    monkeypatch.setattr(Measurer, "measure_anew", measure)
    return measured


def test_latencies_within_their_repeatability(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = as_recorded(timed, monkeypatch, lambda before: 1.02)
    edit(timed / "latency.json", lambda found: found.update(front=[]))
    members = json.loads((timed / "front.json").read_text())["front"]
    found = verify_here(timed)
    assert found.verdict == "within tolerance"
    assert len(measured) == len(members)  # one measurement each was enough
    timed_values = [value for value in found.values if value.metric in ("latency", "throughput")]
    assert {value.trial for value in timed_values} == {member["trial"] for member in members}
    assert all(value.tolerance == pytest.approx(0.03 * value.recorded[0]) for value in timed_values)
    assert {value.verdict for value in found.values if value not in timed_values} == {"equal"}
    assert any(note.startswith("The float model took") for note in found.notes)


def test_latencies_beyond_it_are_measured_three_times(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(timed / "latency.json", lambda found: found.update(front=[]))
    members = len(json.loads((timed / "front.json").read_text())["front"])
    measured = as_recorded(timed, monkeypatch, lambda before: 1.5)
    found = verify_here(timed)
    assert found.verdict == "different"
    assert len(measured) == 3 * members


def test_a_member_that_no_runtime_takes_any_more(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Measurer, assignment: Assignment) -> Latency:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Measurer, "measure_anew", refuse)
    found = verify_here(timed)
    off = [value for value in found.values if value.verdict == "different"]
    assert {value.metric for value in off} == {"latency", "throughput"}
    assert {value.reason for value in off} == {"RuntimeError: no such kernel"}


def test_the_unit_is_what_the_float_model_took_then(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However quick this machine is now."""
    seen: list[float] = []
    anew = Measurer.measure_anew

    def measure(self: Measurer, assignment: Assignment) -> Latency:
        seen.append(self.reference_milliseconds)
        return anew(self, assignment)

    monkeypatch.setattr(Measurer, "measure_anew", measure)
    verify_here(timed)
    assert set(seen) == {json.loads((timed / "front.json").read_text())["baseline"]["latency"]}


def test_the_runtime_is_among_the_versions(timed: Path) -> None:
    assert "onnxruntime" in json.loads((timed / "manifest.json").read_text())["versions"]


def test_repeatability_is_that_of_the_run(tmp_path: Path) -> None:
    assert repeatability(tmp_path)["latency"] == 0.03
    member: Mapping[str, Any] = {
        "trial": 1,
        "recorded": {"latency": 2.0, "throughput": 500.0},
        "again": {"milliseconds": 2.2, "p95": 3.0, "throughput": 505.0},
    }
    (tmp_path / "latency.json").write_text(json.dumps({"repeatability": 0.02, "front": [member]}))
    found = repeatability(tmp_path)
    assert found == {"latency": pytest.approx(0.1), "latency_p95": 0.02, "throughput": 0.02}
    (tmp_path / "latency.json").write_text("{}")
    with pytest.raises(RunError, match=r"latency.json' is damaged"):
        repeatability(tmp_path)


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), st.floats(0, 0.5))
def test_the_first_counts_where_it_is_near_and_else_the_median(found: list[float], tolerance: float) -> None:
    left = list(found)
    values = measured_within(lambda: {"latency": left.pop(0)}, {"latency": 1.0}, {"latency": tolerance})
    near = abs(found[0] - 1.0) <= tolerance
    assert values["latency"] == (found[0] if near else sorted(found)[1])
    assert len(left) == (2 if near else 0)
