"""What changed since a run was made, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bitfront.study import changes

_HASHED = {
    "model": "the weights of the model",
    "graph": "the layers of the model",
    "data": "the calibration or search data",
    "space": "the space (sites and formats)",
    "recipe": "recipe.toml",
    "test": "the test data",
    "training": "the training data",
}
# What no outcome is computed with: another one changes nothing, not even a last bit.
_IDLE = frozenset({"python", "optuna", "cores"})
_NAMES = {
    "machine": "The machine",
    "processor": "The processor",
    "gpu": "The GPU",
    "cores": "The number of cores",
    "torch_threads": "The number of torch's threads",
    "torch_kernels": "The instruction set of torch's kernels",
}


@dataclass(frozen=True)
class Change:
    """`what` is a place such as "hashes.model" or "versions.torch".

    `matters` says that the run isn't the same any more, whatever is measured; `bits` that last bits of
    outcomes may differ.
    """

    what: str
    recorded: str | None
    found: str | None
    words: str
    matters: bool = True
    bits: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def of_hashes(recorded: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Change]:
    """Hashes of the manifest against those of what is there now."""
    for name in _HASHED:
        before, now = recorded.get(name), found.get(name)
        what, thing = f"hashes.{name}", _HASHED[name]
        if before == now:
            continue
        if before is None:
            words = f"The manifest has no hash of {thing}: whether that changed can't be told."
            yield Change(what, before, now, words, matters=False)
        elif now is None:
            yield Change(
                what, before, now, f"{_capital(thing)} isn't there any more (its hash was {before})."
            )
        else:
            yield Change(what, before, now, f"{_capital(thing)} changed: the hash was {before} and is {now}.")


def of_log(manifest: Mapping[str, str], header: Mapping[str, str]) -> Iterator[Change]:
    """Hashes of the manifest against those that the log begins with: they were written together."""
    for name, logged in header.items():
        noted = manifest.get(name)
        if noted != logged:
            words = (
                f"The manifest's hash of {_HASHED.get(name, name)} ({noted}) isn't the one that the log begins "
                f"with ({logged}): one of the two files was edited."
            )
            yield Change(f"hashes.{name}", noted, logged, words)


def of_settings(header: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Change]:
    """What the recipe says now against what the log says of it; hashes have their own words."""
    for key, words in changes(header, found).items():
        if not key.startswith("hashes."):
            yield Change(f"recipe.{key}", None, None, f"In the recipe {words}.")


def of_surroundings(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Versions and hardware, of the run's start and of its resumptions, against what is there now."""
    seen: set[tuple[str, str]] = set()
    stages = [("when the run was begun", manifest)]
    stages += [(f"when it went on at {stage['started']}", stage) for stage in manifest.get("resumed", [])]
    for when, stage in stages:
        for group in ("versions", "hardware"):
            before, here = stage.get(group, {}), now[group]
            for name in dict.fromkeys((*before, *here)):
                was, found = before.get(name), here.get(name)
                what = f"{group}.{name}"
                if was == found or (what, str(was)) in seen:
                    continue
                seen.add((what, str(was)))
                words = f"{_plain(name)} was {_spelled(was)} {when}, and is {_spelled(found)} now."
                yield Change(what, _text(was), _text(found), words, matters=False, bits=name not in _IDLE)


def _plain(name: str) -> str:
    return _NAMES.get(name, name)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _spelled(value: Any) -> str:
    return "not there" if value is None else str(value)


def _capital(text: str) -> str:
    return text if text == "recipe.toml" else text[0].upper() + text[1:]
