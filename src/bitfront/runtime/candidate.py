"""What a candidate brings to the plan: quantized weights and input quantizers, each made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial

import torch
from torch import Tensor

from bitfront.formats import Format, format
from bitfront.formats.calibration import Observation, calibrate
from bitfront.runtime.kept import Kept
from bitfront.runtime.plan import Plan, Quantizer
from bitfront.runtime.rounding import rounded
from bitfront.space import Assignment
from bitfront.spent import Spent


class Candidates:
    """Each (site, format) is quantized once and kept within `memory` bytes.

    What doesn't fit is made again when it is needed, so nothing depends on the order of the calls. `spent`
    counts the seconds of quantizing, and those of an evaluator that works with these candidates. Weights that
    have `moments` are rounded so that outputs change least, see `bitfront.runtime.rounding`; others to nearest.
    """

    def __init__(
        self,
        plan: Plan,
        observations: Mapping[str, Observation],
        calibration: str,
        memory: int = 2**29,
        spent: Spent | None = None,
        moments: Callable[[], Mapping[str, Tensor]] = dict,
    ) -> None:
        self._plan = plan
        self._find_moments = moments
        self._observations = observations
        self._calibration = calibration
        self._weights = Kept[Tensor](memory)
        self.spent = spent or Spent()
        self._quantizers: dict[tuple[str, str], Quantizer] = {}

    def weights(self, assignment: Assignment) -> dict[int, Tensor]:
        """Quantized tensors by slot, of the assigned sites that are stored."""
        slots = self._plan.weight_slots
        return {slots[site]: self.weight(site, name) for site, name in assignment.items() if site in slots}

    def quantizers(self, assignment: Assignment) -> dict[str, Quantizer]:
        """Quantizers by site, of the assigned sites that are inputs."""
        slots = self._plan.weight_slots
        return {
            site: self.quantizer(site, name)
            for site, name in assignment.items()
            if site not in slots and name != "fp32"
        }

    def input_format(self, site: str, name: str, method: str = "") -> Format:
        """The format of an input site with the scale that calibration found for it, by another method if given."""
        method = method or self._calibration
        return calibrate(format(name), self._observations[site], method, self._plan.axes[site])

    def weight(self, site: str, name: str) -> Tensor:
        """The stored tensor of a site in a format."""
        key = (site, name)
        weight = self._weights.get(key)
        if weight is None:
            with torch.inference_mode(), self.spent.on("quantize"):
                weight = format(name).quantize(self.prepared(site, name), self._plan.axes[site])
            self._weights.put(key, weight, weight.nbytes)
        return weight

    def prepared(self, site: str, name: str) -> Tensor:
        """The stored tensor of a site as the format is to round it to nearest."""
        tensor = self._plan.stored[self._plan.weight_slots[site]]
        if site not in self._moments:
            return tensor
        return rounded(tensor, self._moments[site], format(name), self._plan.axes[site])

    @cached_property
    def _moments(self) -> Mapping[str, Tensor]:
        return self._find_moments()

    def quantizer(self, site: str, name: str) -> Quantizer:
        """What quantizes an input site to a format."""
        key = (site, name)
        if key not in self._quantizers:
            calibrated = self.input_format(site, name)
            self._quantizers[key] = partial(calibrated.quantize, axes=self._plan.axes[site])
        return self._quantizers[key]
