"""Quantization-aware training of a candidate: the compiled plan with its quantizers, its stored tensors trained.

Gradients pass quantizers straight through (`Format.quantize`). The plan is the model in evaluation mode: nothing
is dropped, and batch norms use their stored statistics, unless these are to be updated; then they see batches, as
in training, and move their running averages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from bitfront.errors import DataError
from bitfront.formats import Format
from bitfront.runtime.columns import is_stored_norm
from bitfront.runtime.data import Examples
from bitfront.runtime.plan import Plan, Step
from bitfront.runtime.recurrent import DROPOUT, RECURRENT
from bitfront.train.loop import DivergedError, Epoch, Settings, Watch, train
from bitfront.train.losses import Distillation, Task, check_targets
from bitfront.train.scales import LearnedInput, LearnedWeight, learns_input, learns_weight
from bitfront.train.tuned import Tuned

# The learning rate of scales in units of that of weights: with 1, scales of 3 bits were far from settled after 600
# steps.
_SCALE_RATE = 10.0
# Bytes of the float model's outputs that are kept; beyond that they are computed again and again.
_KEPT = 2**28


@dataclass(frozen=True)
class Tuning:
    """How a candidate is fine-tuned."""

    settings: Settings
    distillation: Distillation = field(default_factory=Distillation)
    learned_scales: bool = False
    batch_norm: Literal["frozen", "updated"] = "frozen"


def tune(
    plan: Plan,
    formats: Mapping[str, Format],
    trained: frozenset[int],
    examples: Examples,
    tuning: Tuning,
    task: Task = Task(),
    *,
    watch: Watch = lambda epoch: None,
    checkpoint: Path | None = None,
    key: str = "",
) -> tuple[Tuned, list[Epoch]]:
    """Fine-tune a candidate from the plan's stored tensors, which stay as they are.

    Args:
        plan: the float model.
        formats: of every site that is quantized, inputs as they were calibrated.
        trained: the slots of stored tensors that are trained.
        examples: to train on.
        tuning: how.
        task: what outputs and labels mean.
        watch: is told of every epoch.
        checkpoint: the file of a training that can be resumed.
        key: of what the result depends on beside the settings.

    Raises:
        DataError: there are no labels, and distillation isn't all of the loss; or the loss becomes NaN.
    """
    check_trainable(plan, examples, tuning, task)
    learner = QuantizedLearner(plan, formats, trained, tuning, task)
    epochs = train(learner, learner.with_reference(examples), tuning.settings, watch, checkpoint, key)
    return learner.tuned(), epochs


def check_trainable(plan: Plan, examples: Examples, tuning: Tuning, task: Task) -> None:
    """DataError where labels are missing that are needed, or are not those of the model's outputs."""
    if examples.targets is None:
        if tuning.distillation.weight == 1:
            return
        raise DataError(
            "Fine-tuning needs labels, and the data has none. With distillation = 1 under [finetune] the float "
            "model's outputs take their place."
        )
    with torch.no_grad():
        outputs = plan.run(examples[:2].inputs, {}, {})
    check_targets(outputs, examples, task)


class QuantizedLearner:
    """The stored tensors of a plan, and scales if they are learned."""

    def __init__(
        self, plan: Plan, formats: Mapping[str, Format], trained: frozenset[int], tuning: Tuning, task: Task
    ) -> None:
        self._float = plan
        plan = _with_recurrent_training(plan)
        self._plan = _with_batch_statistics(plan) if tuning.batch_norm == "updated" else plan
        self._formats = formats
        self._distillation = tuning.distillation
        self._task = task
        self._kept = False  # whether examples carry the float model's outputs
        self._trained = sorted(trained)
        read = {slot for step in plan.steps for slot in step.reads()}
        changed = trained | (_statistics(plan) if tuning.batch_norm == "updated" else frozenset())
        self._stored = {slot: plan.stored[slot].clone() for slot in sorted(changed & read)}
        self._trained = [slot for slot in self._trained if slot in self._stored]
        for slot in self._trained:
            self._stored[slot].requires_grad_()
        self._device = next((tensor.device for tensor in plan.stored.values()), torch.device("cpu"))
        self._weights: dict[str, Callable[[Tensor], Tensor]] = {}
        self._inputs: dict[str, Callable[[Tensor], Tensor]] = {}
        for site, format in formats.items():
            self._place(site, format, tuning.learned_scales)

    def _place(self, site: str, format: Format, learned: bool) -> None:
        axes, slot = self._float.axes[site], self._float.weight_slots.get(site)
        plain = partial(format.quantize, axes=axes)
        if slot is None:
            scaled = learned and learns_input(format)
            self._inputs[site] = LearnedInput(format, axes, self._device) if scaled else plain
        elif learned and learns_weight(format) and slot in self._stored:
            self._weights[site] = LearnedWeight(format, axes, self._stored[slot])
        else:
            self._weights[site] = plain

    @property
    def _learned(self) -> dict[str, LearnedInput | LearnedWeight]:
        placed = self._weights | self._inputs
        return {site: it for site, it in placed.items() if isinstance(it, LearnedInput | LearnedWeight)}

    def with_reference(self, examples: Examples) -> Examples:
        """The examples with the float model's outputs behind the inputs, where they are needed and few enough."""
        if not self._distillation.weight:
            return examples
        with torch.no_grad():
            one = self._float.run(examples[:2].inputs, {}, {})
            if one.nbytes // 2 * len(examples) > _KEPT:
                return examples
            found = [self._float.run(batch.inputs, {}, {}) for batch in examples.batches(256)]
        self._kept = True
        return replace(examples, inputs=(*examples.inputs, torch.cat(found)), names=())

    def groups(self) -> list[dict[str, Any]]:
        scales = [learned.logarithm for learned in self._learned.values()]
        groups: list[dict[str, Any]] = [{"params": [self._stored[slot] for slot in self._trained]}]
        return [*groups, {"params": scales, "weight_decay": 0.0, "rate": _SCALE_RATE}] if scales else groups

    def begin(self) -> None:
        pass

    def loss(self, batch: Examples) -> Tensor:
        inputs = batch.inputs[:-1] if self._kept else batch.inputs
        outputs = self._plan.run(inputs, self._quantized(), self._inputs)
        if not self._distillation.weight:
            assert batch.targets is not None
            return self._task.loss(outputs, batch.targets)
        with torch.no_grad():
            reference = batch.inputs[-1] if self._kept else self._float.run(inputs, {}, {})
        return self._distillation.mixed(self._task, outputs, batch.targets, reference)

    def _quantized(self) -> dict[int, Tensor]:
        found = dict(self._stored)
        for site, quantize in self._weights.items():
            slot = self._float.weight_slots[site]
            found[slot] = quantize(found.get(slot, self._float.stored[slot]))
        return found

    def stepped(self) -> None:
        for learned in self._learned.values():
            learned.stepped()
            if not learned.logarithm.isfinite().all():
                raise DivergedError(
                    "A learned scale became NaN or infinite; try a smaller learning rate.", ("learning_rate",)
                )

    def judge(self) -> None:
        """Nothing is judged: the budget is the same for every candidate, and the last state counts."""

    def state(self) -> dict[str, Tensor]:
        stored = {str(slot): tensor for slot, tensor in self._stored.items()}
        scales = {site: learned.logarithm for site, learned in self._learned.items()}
        return {name: tensor.detach().clone() for name, tensor in (stored | scales).items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for slot, tensor in self._stored.items():
                tensor.copy_(state[str(slot)])
            for site, learned in self._learned.items():
                learned.logarithm.copy_(state[site])

    def tuned(self) -> Tuned:
        """What was learned: tensors that the candidate's formats quantize to what was trained, and scales."""
        stored = {slot: tensor.detach().clone() for slot, tensor in self._stored.items()}
        for site, quantize in self._weights.items():
            if isinstance(quantize, LearnedWeight):
                slot = self._float.weight_slots[site]
                stored[slot] = quantize.clipped(stored[slot])
        inputs = {site: format for site, format in self._formats.items() if site in self._inputs}
        for site, quantize in self._inputs.items():
            if isinstance(quantize, LearnedInput):
                inputs[site] = quantize.format
        return Tuned({self._float.paths[slot]: tensor for slot, tensor in stored.items()}, inputs)


def _with_recurrent_training(plan: Plan) -> Plan:
    """Recurrent layers that keep what their gradient needs, as cuDNN wants to be told; still nothing is dropped."""

    def changed(step: Step) -> Step:
        if step.function not in RECURRENT:
            return step
        arguments = list(step.arguments)
        arguments[DROPOUT : DROPOUT + 2] = [0.0, True]
        return replace(step, arguments=tuple(arguments))

    return replace(plan, steps=tuple(changed(step) for step in plan.steps))


def _with_batch_statistics(plan: Plan) -> Plan:
    steps = tuple(
        replace(step, function=_training_norm) if is_stored_norm(step) else step for step in plan.steps
    )
    return replace(plan, steps=steps)


def _statistics(plan: Plan) -> frozenset[int]:
    """The slots of the means and variances of batch norms."""
    norms: list[Step] = [step for step in plan.steps if is_stored_norm(step)]
    slots = {argument.index for step in norms for argument in step.arguments[3:5] if argument is not None}
    return frozenset(slots & plan.stored.keys())


def _training_norm(
    values: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, *rest: Any
) -> Tensor:
    """Batch norm with the batch's statistics; the running averages are moved in place."""
    return batch_norm(values, mean, variance, weight, bias, True, rest[1], rest[2])
