"""Values and changes that make trouble, for recipes and for the files of a run alike."""

from __future__ import annotations

import datetime
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

# What has broken readers of files elsewhere.
TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "\n",
        "\x1b[31mred\x1b[0m",
        "\u202etxt",
        "é",
        "🙂",
        "[red]",
        "<script>",
        "=1+1",
        "'",
        '"',
    ),
    *("x" * 300, "../../x", "/", ".", "..", "a/b", "nan", "inf", "-inf", "1e999", "9" * 400, "-1", "0", "1"),
    *(
        "true",
        "fp32",
        "int8",
        "baseline",
        "baseline - 1%",
        "1e400% of baseline",
        "baseline - 999 KiB",
        "5 parsecs",
    ),
    *("1_", "1__0 B", "٣", "%", "{}", "{0}", "%s", "$HOME", "~", "\ufeff", "\u2028", "𝟜", "None", "null"),
)
FORMATS = (
    *(
        "int8",
        "int4c",
        "int2c",
        "uint8",
        "uint4",
        "int4g32",
        "int4g0",
        "int4g99999999",
        "int0",
        "int1",
        "int99",
    ),
    *(
        "int99999999999999999999",
        "q3.4",
        "q-2.9",
        "q99.99",
        "q-99999.99999",
        "q0.0",
        "e4m3",
        "e0m0",
        "e99m99",
    ),
    *(
        "mxfp4",
        "nvfp4",
        "bfp8",
        "bfp0",
        "bme2m1",
        "log4",
        "log99",
        "blog4",
        "binary",
        "binary2",
        "ternary",
        "fp16",
    ),
    *(
        "fp32",
        "bf16",
        "int٤",
        "INT8",
        "int8 ",
        "int",
        "",
        "int8c4",
        "int8cc",
        "int-8",
        "int08",
        "e04m3",
        "int8g",
    ),
)
PATTERNS = (
    *("type:linear", "type:*", "type:", "name:fc1", "name:fc*", "name:[", "name:[!", "name:" + "*" * 200),
    *(
        "name:" + "*a" * 60 + "*b",
        "name:?",
        "regex:fc.*",
        "regex:.*",
        "regex:(",
        "regex:(.+)+x",
        "regex:(a|aa)+$",
    ),
    *(
        "regex:(?:(?:\\w+\\.?)+)+!",
        "regex:" + "(" * 150 + ")" * 150,
        "regex:.{0,99999999}",
        "regex:(?P<a>f)(?P=b)",
    ),
    *(
        "regex:\\",
        "regex:(?R)",
        "regex:" + "a?" * 60 + "a" * 60,
        "regex:[[:alpha:]]+",
        "regex:\\p{L}",
        "regex:(?i",
        ":",
    ),
    *(
        "kind:linear",
        "regex:(.*)*(.*)*(.*)*!",
        "name:\x00",
        "type:linear:linear",
        "regex:(?<=a+)b",
        "regex:x{9,1}",
    ),
)
NUMBERS = (0, -1, 1, 2, 3, 7, 255, 10**6, 2**31, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 10**18)
FLOATS = (0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 1.5, 1e-9)
DATES = (datetime.date(1, 1, 1), datetime.time(0, 0), datetime.datetime(9999, 12, 31, 23, 59))

texts = st.sampled_from(TEXTS) | st.sampled_from(FORMATS) | st.sampled_from(PATTERNS) | st.text(max_size=8)
scalars = st.one_of(
    texts, st.sampled_from(NUMBERS), st.integers(-(2**63), 2**63 - 1), st.sampled_from(FLOATS), st.booleans()
)


def _deep(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists and tables of leaves, small, and now and then a hundred levels deep."""
    grown = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    )
    return st.integers(0, 19).flatmap(lambda chance: grown if chance else st.just(_deep(100)))


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside of a document."""
    found: list[tuple[Any, ...]] = [path] if path else []
    if isinstance(document, dict):
        for key, value in document.items():
            found += places(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            found += places(value, (*path, index))
    return found


@st.composite
def altered(draw: st.DrawFn, document: Any, values: st.SearchStrategy[Any], gently: bool = False) -> Any:
    """The document after one to three changes: something dropped, renamed, doubled, moved or replaced.

    Gently is one change, to a value of the same kind.
    """
    document = deepcopy(document)
    for _ in range(1 if gently else draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        parent = document
        for key in above:
            parent = parent[key]
        how = "like" if gently else draw(st.sampled_from(_CHANGES))
        match how:
            case "like":
                parent[last] = draw(_like(parent[last]))
            case "drop":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(_renamed(last))] = parent.pop(last)
            case "wrap":
                parent[last] = draw(
                    st.sampled_from(([parent[last]], {"x": parent[last]}, [parent[last]] * 2))
                )
            case "move":
                *_, other = draw(st.sampled_from(found))
                if isinstance(parent, dict) and isinstance(other, str):
                    parent[other] = deepcopy(parent[last])
            case _:
                parent[last] = draw(_like(parent[last]) | values)
    return document


_CHANGES = ("drop", "rename", "replace", "replace", "like", "like", "wrap", "move")


def _renamed(name: Any) -> st.SearchStrategy[str]:
    name = str(name)
    slips = (
        name[1:],
        name + "s",
        name.upper(),
        name.replace("_", "-"),
        name[::-1],
        name + "\u0301",
        f" {name}",
    )
    return st.sampled_from(slips) | texts


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind: what gets past a check of types."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.sampled_from(NUMBERS)
    if isinstance(value, float):
        return st.sampled_from(FLOATS)
    if isinstance(value, str) and ":" in value:
        return st.sampled_from(PATTERNS)
    if isinstance(value, list) and value and isinstance(value[0], int):
        return st.lists(st.integers(-1, 40), max_size=4)
    if isinstance(value, list):
        return st.lists(st.sampled_from(FORMATS), max_size=4)
    if isinstance(value, dict):
        return st.just({})
    return texts


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes after one to four accidents."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 40)))
        match draw(st.sampled_from(("flip", "cut", "drop", "insert", "double", "lines", "zeros", "long"))):
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
            case "cut":
                data = data[:at]
            case "drop":
                data = data[:at] + data[to:]
            case "insert":
                data = data[:at] + draw(st.binary(max_size=6) | _ODD) + data[at:]
            case "double":
                data = data[:to] + data[at:to] + data[to:]
            case "zeros":
                data = data[:at] + bytes(to - at) + data[to:]
            case "long":
                data = data[:at] + b"x" * 200_000 + data[at:]
            case _:
                lines = data.splitlines(keepends=True)
                data = b"".join(draw(st.permutations(lines)) if len(lines) < 40 else lines[::-1])
    return data


_ODD = st.sampled_from(
    (
        b"\x00",
        b"\n",
        b"\r\n",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"{",
        b"}",
        b"[",
        b'"',
        b"=",
        b"nan",
        b"\xef\xbb\xbf",
    )
)
