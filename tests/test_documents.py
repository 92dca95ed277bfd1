"""Files of a run that hold something else than they should: the place is named."""

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from bitfront import log
from bitfront.documents import FrontShape, Header, LatencyShape, ManifestShape, check_shape, read_document
from bitfront.errors import RunError
from bitfront.metric import Failure, Measurement
from bitfront.space import FLOAT, Assignment
from bitfront.trial import Trial

FRONT: dict[str, Any] = {
    "trials": 2,
    "evaluated": 2,
    "resumed": 0,
    "seconds": 0.5,
    "stopped": "budget",
    "space_size": 4,
    "duplicates": 0,
    "baseline": {"size": 12.0, "loss": "inf"},
    "baseline_test": {"loss": {"value": 0.1, "low": 0, "high": "inf"}},
    "test_key": "0a",
    "uniform": {"int8": {"trial": 1, "formats": ["int8"], "metrics": {}}},
    "knee": None,
    "front": [{"trial": 1, "assignment": {"a:weight": "int8"}, "metrics": {"size": 3.0}, "test": {}}],
    "notes": [],
}


def test_a_whole_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "front.json").write_text(json.dumps(FRONT | {"more": [1]}))
    assert read_document(tmp_path / "front.json", FrontShape) == FRONT | {"more": [1]}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("trials",), 0),
        (("trials",), True),
        (("trials",), "2"),
        (("knee",), "1"),
        (("front",), {}),
        (("front", 0, "trial"), 1.5),
        (("front", 0, "assignment"), {"a:weight": 8}),
        (("front", 0, "metrics", "size"), None),
        (("front", 0, "metrics", "size"), "much"),
        (("baseline",), []),
        (("uniform", "int8", "metrics"), 3),
        (("baseline_test", "loss", "low"), []),
        (("notes",), [1]),
    ],
)
def test_another_kind_of_value_is_named(place: tuple[str | int, ...], value: Any) -> None:
    document = copy.deepcopy(FRONT)
    table: Any = document
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    first = place[0]
    with pytest.raises(ValueError, match=rf"^{first}"):
        check_shape(document, FrontShape)
    del table[place[-1]]
    if len(place) < 3:
        with pytest.raises(ValueError, match=f"^{first}"):
            check_shape(document, FrontShape)


def test_what_may_be_missing_still_has_a_kind() -> None:
    check_shape(FRONT, FrontShape)
    for key, value in (("evaluated", "2"), ("evaluated", 0), ("failed", None), ("resumed", 1.5)):
        with pytest.raises(ValueError, match=f"^{key}"):
            check_shape(FRONT | {key: value}, FrontShape)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("[]", "it: Input should be"),
        ('{"trials": NaN}', "NaN is no number in JSON"),
        ('{"trials": Infinity}', "Infinity is no number"),
        ("[" * 100_000, "nested too deeply"),
        ("\ud800", "can't decode|surrogates"),
    ],
)
def test_what_is_no_document(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "front.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ValueError, match=says):
        read_document(tmp_path / "front.json", FrontShape)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "front.json")
    with pytest.raises(OSError, match="no ordinary file"):
        read_document(tmp_path / "front.json", FrontShape)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "directory"),
        ({"directory": "/", "hardware": {"torch_threads": 10**9}}, "hardware.torch_threads"),
        ({"directory": "/", "hardware": {"torch_threads": "2"}}, "hardware.torch_threads"),
        ({"directory": "/", "resumed": [{}]}, "resumed.0.started"),
        ({"directory": "/", "versions": {"torch": 2}}, "versions.torch"),
        ({"directory": "/", "hashes": []}, "hashes"),
        ({"directory": "/", "graph": {"model": 1}}, "graph.model"),
    ],
)
def test_manifests(document: Any, place: str) -> None:
    with pytest.raises(ValueError, match=f"^{place}: "):
        check_shape(document, ManifestShape)


_AGAIN = {"trial": 1, "recorded": {"latency": 1.0}, "again": {}}


def test_a_latency_needs_no_quality_as_it_ships() -> None:
    for member in (_AGAIN, _AGAIN | {"shipped": {"loss": "inf"}}):
        check_shape({"repeatability": 0.1, "front": [member]}, LatencyShape)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("recorded", value) for value in ({"latency": 0}, {"latency": -1.0}, {"latency": "1"}, 3)],
        *[("trial", value) for value in ("1", 1.0, None)],
        *[("shipped", value) for value in ([], None, {"loss": None}, {"loss": "0.5"})],
    ],
)
def test_latencies(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^front\.0\.{key}"):
        check_shape({"repeatability": 0.1, "front": [_AGAIN | {key: value}]}, LatencyShape)


def test_a_header_says_what_it_lacks(tmp_path: Path) -> None:
    log.create(tmp_path / "log", {"hashes": {"model": "0a"}})
    header = log.read(tmp_path / "log").header
    assert header == {"log": 1, "hashes": {"model": "0a"}}
    assert header.get("seed") is None
    with pytest.raises(RunError, match=r"The header of '.*log' has no 'seed'"):
        header["seed"]
    with pytest.raises(RunError, match="has no 'space'"):
        header["hashes"]["space"]
    assert type(pickle.loads(pickle.dumps(header))) is dict
    assert isinstance(header, Header)


@pytest.mark.parametrize(
    "header",
    [
        {"hashes": 3},
        {"hashes": {"model": None}},
        {"examples_per_batch": 0},
        {"metrics": {"size": 1}},
        {"seed": ""},
    ],
)
def test_a_header_of_other_kinds_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    log.create(tmp_path / "log", header)
    with pytest.raises(RunError, match=f"isn't as bitfront wrote it \\({next(iter(header))}"):
        log.read(tmp_path / "log")


@pytest.mark.parametrize("header", [{"metrics": {"size": {}, "loss": {}}}, {}])
def test_a_trial_that_lacks_a_metric_is_named(tmp_path: Path, header: dict[str, Any]) -> None:
    whole = Trial(0, 0, FLOAT, Measurement({"size": 1.0, "loss": 2.0}))
    bare = Trial(1, 1, Assignment.of({"a:weight": "int8"}), Measurement({"size": 1.0}))
    failed = Trial(2, 1, Assignment.of({"a:weight": "int4"}), Failure("no luck"))
    log.create(tmp_path / "log", header, [whole, bare, failed])
    with pytest.raises(RunError, match=r"Line 3 of .* is not a trial: KeyError\('loss'\)"):
        log.read(tmp_path / "log")
    log.create(tmp_path / "log", {"suggestions": True}, [whole, bare, failed])
    assert len(log.read(tmp_path / "log").trials) == 3
