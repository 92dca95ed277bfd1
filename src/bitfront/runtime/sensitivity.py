"""How far each variable in each format, alone, takes the outputs from the float model's."""

from __future__ import annotations

from bitfront.metric import Measurement
from bitfront.quality.base import Quality
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.data import Examples
from bitfront.runtime.evaluator import ModelEvaluator
from bitfront.runtime.plan import Plan
from bitfront.space import Assignment, Space
from bitfront.strategies.base import Prior

WORTH = 4  # evaluations on the search split, counted in examples run through the model
FEWEST, MOST = 16, 256
FAILED = 10.0  # the divergence of a change that can't be measured


def examples_for(space: Space, search: int) -> int:
    """How many calibration examples to look at, so that all changes together are worth `WORTH` evaluations.

    A change of one variable needs, on average, half of the model to be run again.

    >>> from bitfront.space import Variable
    >>> examples_for(Space((Variable(("fc:weight",), ("int8", "int4")),) * 16), 512)
    128
    """
    changes = sum(len(variable.formats) for variable in space.variables)
    return min(MOST, max(FEWEST, 2 * WORTH * search // changes))


def sensitivities(
    plan: Plan,
    candidates: Candidates,
    calibration: Examples,
    space: Space,
    divergence: Quality,
    search: int,
    batch_size: int,
) -> Prior:
    """Measures every single change on a few calibration examples; the search split isn't looked at.

    `divergence` is the quality "kl" (nats) or "sqnr" (turned into noise over signal), `search` the number of
    examples in the search split, `batch_size` that of one pass. Predicting these figures from gradients (Fisher
    information) would take one pass instead, but is off by several times for coarse formats, and needs a model
    that can be differentiated.
    """
    examples = calibration[: examples_for(space, search)]
    evaluator = ModelEvaluator(plan, candidates, examples, batch_size, [divergence], {})
    keys = [(variable, name) for variable in space.variables for name in variable.formats]
    changes = [Assignment(v.sites, (name,) * len(v.sites)) for v, name in keys]
    found: dict[tuple[str, str], float] = {}
    for (variable, name), outcome in zip(keys, evaluator.evaluate(changes), strict=True):
        value = FAILED
        if isinstance(outcome, Measurement):
            value = outcome.values[divergence.metric.name]
            value = 10 ** (-value / 10) if divergence.metric.name == "sqnr" else value
        found[variable.name, name] = _rounded(value)
    return Prior(found)


def _rounded(value: float) -> float:
    """To three digits, so that the last bits of a machine's arithmetic decide nothing."""
    return float(f"{value:.2e}")
