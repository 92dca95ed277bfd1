"""Regular expressions that explode are found out, in bounded time; ordinary ones aren't slowed down."""

import re
import subprocess
from typing import Any

import pytest

from bitfront import patterns
from bitfront.errors import RecipeError
from bitfront.patterns import check_pattern
from bitfront.rules import Rule, build_space
from tests.hostile.graphs import graph_of

NAMES = ("encoder_layers_0_self_attention_output_dense",)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(.+)+x",
        r"(?:(?:\w+\.?)+)+!",
        r"(\w|\w\w)*!",
        ".*" * 12 + "!",
        "(?:.*|x)" * 12 + "!",
        "((.*))" * 12 + "!",
        "((.*)(.*))" * 6 + "!",
        r"(?:\w|\w\w)" * 30 + "!",
    ],
)
def test_patterns_that_explode(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would take seconds to years: the limit here is passed on any machine."""
    monkeypatch.setattr(patterns, "SECONDS", 0.5)
    with pytest.raises(TimeoutError, match=r"more than 0\.5 seconds"):
        check_pattern(pattern, NAMES)


@pytest.mark.parametrize(
    "pattern",
    [
        "fc.*",
        r"encoder\.\d+\..*",
        r".*\.(query|key|value)",
        r"l\.([0-9]|1[0-1])\..*proj",
        ".*(a+|b)",
        "^a|b$",
        "",
    ],
)
def test_ordinary_patterns_need_no_process(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*ignored: Any, **also: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", never)
    check_pattern(pattern, NAMES)


@pytest.mark.parametrize(
    "pattern", ["(a|aa)+$", "a?" * 20 + "a" * 20, "(?:ab)*", r"(.)\1", "(?=a)b", "[[a]+"]
)
def test_odd_patterns_that_end(pattern: str) -> None:
    check_pattern(pattern, NAMES)


@pytest.mark.parametrize(
    "pattern", ["(", "\\", "x{0,9999999999999999}", "(" * 5000 + ")" * 5000, "(?<=a+)b", "x{9,1}"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(re.error):
        check_pattern(pattern, NAMES)


def test_a_rule_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.5)
    graph = graph_of(NAMES[0])
    with pytest.raises(RecipeError, match=r"it takes more than .*\. Repeats within") as caught:
        build_space(graph, [Rule(r"regex:(\w+_?)+!", {"weight": ["int8"]})])
    assert caught.value.path == ("space", 0, "match")


def test_a_glob_does_not_explode() -> None:
    with pytest.raises(RecipeError, match="matches nothing"):
        build_space(graph_of("a" * 300), [Rule("name:" + "*a" * 60 + "*b", {"weight": ["int8"]})])
