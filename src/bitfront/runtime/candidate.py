"""What a candidate brings to the plan: quantized weights and input quantizers, each made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from bitfront.formats import Format, format
from bitfront.formats.calibration import Observation, calibrate
from bitfront.runtime.bias import BiasCorrection
from bitfront.runtime.choices import FLOAT32
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
    With a `correction` biases follow the formats of their layers' weights, see `bitfront.runtime.bias`.
    """

    def __init__(
        self,
        plan: Plan,
        observations: Mapping[str, Observation],
        calibration: str,
        memory: int = 2**29,
        spent: Spent | None = None,
        moments: Mapping[str, Tensor] | None = None,
        correction: BiasCorrection | None = None,
    ) -> None:
        self._plan = plan
        self._correction = correction
        self._moments = moments or {}
        self._observations = observations
        self._calibration = calibration
        self._weights = Kept[Tensor](memory)
        self.spent = spent or Spent()
        self._quantizers: dict[tuple[str, str], Quantizer] = {}

    @cached_property
    def sites(self) -> Mapping[int, tuple[str, ...]]:
        """The slots that candidates fill, each with the sites that decide: its own, and its layer's weight."""
        own = {slot: (site,) for site, slot in self._plan.weight_slots.items()}
        corrected = self._corrected.items()
        return own | {slot: (*own.get(slot, ()), site) for slot, site in corrected}

    @cached_property
    def _corrected(self) -> Mapping[int, str]:
        return {} if self._correction is None else self._correction.sites

    def weights(self, assignment: Assignment) -> dict[int, Tensor]:
        """Tensors by slot, of the assigned sites that are stored, and of the biases that follow from them."""
        slots = self._plan.weight_slots
        found = {slots[site]: self.weight(site, name) for site, name in assignment.items() if site in slots}
        chosen = dict(assignment) if self._corrected else {}
        for slot, weight in self._corrected.items():
            if weight in chosen:
                found[slot] = self.tensor(slot, [chosen.get(site, FLOAT32) for site in self.sites[slot]])
        return found

    def tensor(self, slot: int, names: Sequence[str]) -> Tensor:
        """What a slot of `sites` holds where its sites have formats of these names."""
        sites = self.sites[slot]
        if slot not in self._corrected:
            return self.weight(sites[0], names[0])
        key = (slot, *names)
        tensor = self._weights.get(key)
        if tensor is None:
            tensor = self.corrected(slot, names[-1])
            if len(sites) > 1:
                with torch.inference_mode(), self.spent.on("quantize"):
                    tensor = format(names[0]).quantize(tensor, self._plan.axes[sites[0]])
            self._weights.put(key, tensor, tensor.nbytes)
        return tensor

    def corrected(self, slot: int, name: str) -> Tensor:
        """The stored tensor of a slot where the weight of its layer has the format of that name."""
        if name == FLOAT32 or self._correction is None:
            return self._plan.stored[slot]
        quantized = self.weight(self._corrected[slot], name)
        with self.spent.on("quantize"):
            return self._correction.corrected(slot, quantized)

    def adjusted(self, assignment: Assignment) -> dict[int, Tensor]:
        """Stored tensors, by slot, that the candidate's formats round to nearest to what it is judged with."""
        slots = self._plan.weight_slots
        chosen = {site: name for site, name in assignment.items() if name != FLOAT32}
        found = {slots[site]: self.prepared(site, name) for site, name in chosen.items() if site in slots}
        return found | {
            slot: self.corrected(slot, chosen[site])
            for slot, site in self._corrected.items()
            if site in chosen
        }

    def quantizers(self, assignment: Assignment) -> dict[str, Quantizer]:
        """Quantizers by site, of the assigned sites that are inputs."""
        slots = self._plan.weight_slots
        return {
            site: self.quantizer(site, name)
            for site, name in assignment.items()
            if site not in slots and name != FLOAT32
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

    def quantizer(self, site: str, name: str) -> Quantizer:
        """What quantizes an input site to a format."""
        key = (site, name)
        if key not in self._quantizers:
            calibrated = self.input_format(site, name)
            self._quantizers[key] = partial(calibrated.quantize, axes=self._plan.axes[site])
        return self._quantizers[key]
