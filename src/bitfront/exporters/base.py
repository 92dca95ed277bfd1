"""What an exporter is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bitfront import plugins
from bitfront.errors import FormatError, InputError
from bitfront.formats import Axes, Format, format
from bitfront.graph.capture import Program
from bitfront.latency.lowering import Lowering
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment


@dataclass(frozen=True)
class Subject:
    """The candidate that is exported, and real inputs to compare on.

    `trial` is its number, or the name of a fine-tuned one. `recipe` is the recipe that the run resolved (None
    where it began from Python), and `directory` what the paths in it start from. `lowering` gives the candidate
    as kernels run it, and refuses what none runs.
    """

    trial: int | str
    program: Program
    plan: Plan
    candidates: Candidates
    assignment: Assignment
    examples: Examples
    recipe: Mapping[str, Any] | None = None
    directory: Path = Path()
    lowering: Lowering | None = None

    def formats(self) -> dict[str, Format]:
        """The format of every site that is given one; inputs as they were calibrated."""
        return {
            site: format(name) if site in self.plan.weight_slots else self.candidates.input_format(site, name)
            for site, name in self.assignment.items()
            if name != "fp32"
        }

    def axes(self, site: str) -> Axes:
        """What the axes of a site's tensor mean."""
        return self.plan.axes[site]

    def weight(self, site: str) -> Tensor:
        """The float tensor of a stored site."""
        return self.plan.stored[self.plan.weight_slots[site]]

    def outputs(self) -> Tensor:
        """What the simulator gives for the examples: (examples, …)."""
        weights = self.candidates.weights(self.assignment)
        with torch.inference_mode():
            return self.plan.run(self.examples.inputs, weights, self.candidates.quantizers(self.assignment))


Unsupported = Callable[[Subject], Mapping[str, str]]
Run = Callable[[Path, tuple[Tensor, ...]], Tensor]


@dataclass(frozen=True)
class Exporter:
    """A way to write a candidate down; plugins of the group `bitfront.exporters` are such values.

    Args:
        write: writes the subject to a path that doesn't exist yet; returns remarks for people.
        unsupported: why sites can't be expressed, by their names; empty where all can.
        run: reads a path that `write` wrote, refuses it where it is damaged, and gives its output for inputs
            (examples, …). It is called in a fresh process. None: what was written is a recipe.
        limit: how far the mean difference of the outputs from the simulator's may be, as a share of the
            simulator's mean magnitude. 0: they must be equal.
        folder: whether a folder is written, not a file.
        simulate: the outputs to come near, where these aren't those of the search.
    """

    write: Callable[[Subject, Path], list[str]]
    unsupported: Unsupported
    run: Run | None
    limit: float
    folder: bool = False
    simulate: Callable[[Subject], Tensor] | None = None


def exporter(name: str) -> Exporter:
    """The exporter of that name; InputError with the nearest spelling where there is none."""
    return plugins.load("exporters", name)


def check(name: str, subject: Subject) -> None:
    """FormatError that names the sites and formats that an exporter can't express, and who could."""
    reasons = exporter(name).unsupported(subject)
    if not reasons:
        return
    shown = [f"{site} ({subject.assignment.get(site, 'fp32')}: {why})" for site, why in reasons.items()]
    listed = "; ".join(shown[:5]) + (f"; and {len(shown) - 5} more" if len(shown) > 5 else "")
    able = [other for other in plugins.names("exporters") if other != name and _expresses(other, subject)]
    hint = f"These can: {', '.join(f'--to {other}' for other in able)}." if able else "No other exporter can."
    raise FormatError(f"The {name} export can't express {listed}. {hint}")


def _expresses(name: str, subject: Subject) -> bool:
    try:
        return not exporter(name).unsupported(subject)
    except InputError:  # it needs a package that isn't installed
        return False
