"""One pass of the float model over the calibration data, observing every input site."""

from __future__ import annotations

from collections.abc import Container, Mapping

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.formats.calibration import Observation
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan, Quantizer


def observe(
    plan: Plan, examples: Examples, batch_size: int, sites: Container[str] | None = None
) -> Mapping[str, Observation]:
    """What each input site, or each of `sites`, sees in the float model.

    Raises:
        DataError: the model can't run on the data, or a site sees NaN or infinity.
    """
    every = [step.site for step in plan.steps if step.function is None]
    seen = {site: Observation() for site in every if sites is None or site in sites}
    watchers = {site: _watcher(site, observation) for site, observation in seen.items()}
    with torch.inference_mode():
        for batch in examples.batches(batch_size):
            _run(plan, batch, watchers)
    return seen


def _run(plan: Plan, batch: Examples, watchers: Mapping[str, Quantizer]) -> None:
    try:
        plan.run(batch.inputs, {}, watchers)
    except DataError:
        raise
    except Exception as error:  # torch raises many kinds for shapes and dtypes that don't fit
        shapes = ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in batch.inputs)
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"The float model can't run on calibration inputs {shapes}: {reason}") from error


def _watcher(site: str, observation: Observation) -> Quantizer:
    def watch(values: Tensor) -> Tensor:
        try:
            observation.observe(values)
        except DataError as error:
            raise DataError(
                f"On the calibration data, '{site}' of the float model sees a bad value: {error}. "
                f"Leave the input of '{site.partition(':')[0]}' out of the rules, or mend the data."
            ) from error
        return values

    return watch
