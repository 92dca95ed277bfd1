"""Qualities of the front as it ships, which latency.json has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitfront import log
from bitfront.errors import RunError
from bitfront.latency.measure import Measurer
from bitfront.latency.shipped import Shipping
from bitfront.verify import verify_here
from bitfront.verify.shipped import latency_disagreements
from bitfront.verify.verifying import Verification
from tests.verify.conftest import edit

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture
def as_it_was(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies are what was recorded of them: they have their own tests, and take their time."""
    front = json.loads((timed / "front.json").read_text())["front"]
    recorded = {tuple(sorted(m["assignment"].items())): m["metrics"] for m in front}

    class Found:
        def __init__(self, values: dict[str, float]) -> None:
            self.values = values

    monkeypatch.setattr(
        Measurer, "measure_anew", lambda self, given: Found(recorded[tuple(sorted(given.items()))])
    )


def shipped(found: Verification) -> dict[tuple[int | str, str], float]:
    return {(v.trial, v.metric): v.measured[0] for v in found.values if v.split == "shipped"}


def test_each_member_is_judged_as_it_ships(timed: Path) -> None:
    document = json.loads((timed / "latency.json").read_text())
    found = verify_here(timed)
    assert found.verdict == "equal"
    expected = {(m["trial"], name): value for m in document["front"] for name, value in m["shipped"].items()}
    assert expected
    assert shipped(found) == expected


def test_a_quality_that_was_edited_is_different(timed: Path) -> None:
    edit(timed / "latency.json", lambda found: found["front"][0]["shipped"].update(accuracy=0.999))
    off = [value for value in verify_here(timed).values if value.verdict == "different"]
    assert [(value.metric, value.split, value.recorded) for value in off] == [
        ("accuracy", "shipped", (0.999,))
    ]


def test_elsewhere_it_has_a_tolerance(timed: Path) -> None:
    edit(timed / "manifest.json", lambda found: found["versions"].update(torch="2.0.0"))

    def nudge(found: dict) -> None:
        found["front"][0]["shipped"]["accuracy"] += 1e-9

    edit(timed / "latency.json", nudge)
    found = verify_here(timed)
    assert found.verdict == "within tolerance"
    (value,) = [value for value in found.values if value.verdict != "equal"]
    assert (value.split, value.tolerance > 0) == ("shipped", True)


def test_what_can_not_be_lowered_any_more_says_why(timed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Shipping, candidate: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Shipping, "__call__", refuse)
    off = [value for value in verify_here(timed).values if value.verdict == "different"]
    assert {(value.split, value.reason) for value in off} == {("shipped", "RuntimeError: no such kernel")}


def test_what_was_recorded_is_held_to_the_log(timed: Path) -> None:
    number = json.loads((timed / "latency.json").read_text())["front"][0]["trial"]
    edit(timed / "latency.json", lambda found: found["front"][0]["recorded"].update(latency=0.5))
    (change,) = verify_here(timed).changes
    assert change.matters
    assert change.words.startswith(
        f"latency.json says latency 0.5 was recorded of trial {number}, and the log"
    )
    edit(timed / "latency.json", lambda found: found["front"][0].update(trial=99))
    assert any("names trial 99" in change.words for change in verify_here(timed).changes)


def test_damage_is_named(timed: Path) -> None:
    edit(timed / "latency.json", lambda found: found["front"][0].update(recorded=[]))
    with pytest.raises(RunError, match=r"latency.json' is damaged"):
        latency_disagreements(timed, log.read(timed / log.NAME).trials)
    (timed / "latency.json").write_text('{"repeatability": 0.05, "front": 3}')
    with pytest.raises(RunError, match=r"latency.json' is damaged \(ValueError\('front: "):
        latency_disagreements(timed, ())


def test_a_member_that_was_not_judged_as_it_ships_has_nothing_to_compare(timed: Path) -> None:
    number = json.loads((timed / "latency.json").read_text())["front"][0]["trial"]
    edit(timed / "latency.json", lambda found: found["front"][0].pop("shipped"))
    found = verify_here(timed)
    assert found.verdict == "equal"
    assert number not in {trial for trial, _ in shipped(found)}

    def forget(found: dict) -> None:
        for member in found["front"]:
            member.pop("shipped", None)

    edit(timed / "latency.json", forget)
    assert not shipped(verify_here(timed))


@pytest.mark.parametrize(
    ("key", "value"),
    [("trial", "3"), ("trial", None), ("shipped", []), ("shipped", {"accuracy": None}), ("shipped", None)],
)
def test_another_kind_of_value_is_damage(timed: Path, key: str, value: object) -> None:
    edit(timed / "latency.json", lambda found: found["front"][0].update({key: value}))
    with pytest.raises(RunError, match=rf"latency.json' is damaged .*front\.0\.{key}"):
        verify_here(timed)
