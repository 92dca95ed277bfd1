"""What is compared: which strategies, over how many seeds, and whether the whole space is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

from bitfront import plugins
from bitfront.errors import InputError, suggest
from bitfront.report.numbers import counted

BRUTE_FORCE = "brute-force"
ENUMERATED = 20_000  # points up to which a space is evaluated whole without being told to
MOST = 1_000_000  # points beyond which nobody means it

# The same whatever the seed: once is enough.
DETERMINISTIC = frozenset({BRUTE_FORCE})


@dataclass(frozen=True)
class Plan:
    """Strategies by name, each run `repeats` times with the seeds seed, seed + 1, …

    `trials` is the budget of each run in distinct evaluations, the uniform assignments not counted. `exact`
    says whether the whole space is evaluated first; None leaves it to `enumerates`.
    """

    strategies: tuple[str, ...]
    repeats: int = 10
    trials: int = 100
    seed: int = 0
    exact: bool | None = None

    def check(self) -> None:
        """InputError where this can't be compared."""
        if not self.strategies:
            raise InputError("There is nothing to compare: name strategies, such as tpe,random.")
        known = plugins.names("strategies")
        for name in self.strategies:
            if name not in known:
                raise InputError(f"'{name}' is not a strategy ({suggest(name, known)}).")
        if self.repeats < 1:
            raise InputError(f"repeats must be at least 1, but is {self.repeats}.")
        if self.trials < 1:
            raise InputError(f"trials must be at least 1, but is {self.trials}.")

    def enumerates(self, size: int) -> bool:
        """Whether a space of that size is evaluated whole, which makes the reference exact.

        Raises:
            InputError: it was asked for, and the space is too large for it.
        """
        if self.exact and size > MOST:
            raise InputError(
                f"--exact evaluates every point of the space, and it has {counted(size)}: more than "
                f"{MOST:,}. Leave it out, and the reference is the best that all strategies together find."
            )
        if self.exact is None:
            return BRUTE_FORCE in self.strategies and size <= ENUMERATED
        return self.exact

    def seeds(self, name: str) -> range:
        """The seeds of a strategy's runs."""
        return range(self.seed, self.seed + (1 if name in DETERMINISTIC else self.repeats))

    def budget(self, name: str, size: int) -> int:
        """How many evaluations a run may make. Brute force goes through a space that is evaluated anyway."""
        return size if name == BRUTE_FORCE and self.enumerates(size) else self.trials


def strategy_names(text: str) -> tuple[str, ...]:
    """The names of a list such as "tpe, random", each once.

    >>> strategy_names("tpe, random,tpe")
    ('tpe', 'random')
    """
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
