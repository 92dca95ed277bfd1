"""One pass of the float model over the calibration data, observing every input site."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.formats.calibration import Observation
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan, Quantizer


def observe(plan: Plan, examples: Examples, batch_size: int) -> Mapping[str, Observation]:
    """What each input site sees in the float model.

    Raises:
        DataError: a site sees NaN or infinity.
    """
    seen = {step.site: Observation() for step in plan.steps if step.function is None}
    watchers = {site: _watcher(site, observation) for site, observation in seen.items()}
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            plan.run(batch.inputs, {}, watchers)
    return seen


def _watcher(site: str, observation: Observation) -> Quantizer:
    def watch(values: Tensor) -> Tensor:
        try:
            observation.observe(values)
        except DataError as error:
            raise DataError(f"On the calibration data, '{site}' of the float model sees a bad value: {error}") from error
        return values

    return watch
