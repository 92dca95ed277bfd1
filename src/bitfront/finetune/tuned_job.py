"""A job whose model has the tensors of a fine-tuned trial: it is measured and exported like any other."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from bitfront.errors import InputError, RunError
from bitfront.files import read_file
from bitfront.finetune.record import NAME, FineTuned, weights_path
from bitfront.graph.capture import Program
from bitfront.recipe import Job
from bitfront.runtime.data import Splits
from bitfront.runtime.plan import Plan
from bitfront.space import Space
from bitfront.train.tuned import Tuned, TunedCandidates, scaled_format


class TunedJob(Job):
    """The job of a run, with the tensors and scales of one fine-tuned trial. It knows no other candidate."""

    def __init__(self, job: Job, tuned: Tuned) -> None:
        super().__init__(job.recipe, job.directory, batch_size=job.batch_size, output=job.output)
        self._float = job
        self._tuned = tuned

    @cached_property
    def model(self) -> nn.Module:
        """A copy of the float model that holds the trained tensors."""
        model = copy.deepcopy(self._float.model)
        own = dict(model.named_parameters(remove_duplicate=False))
        own |= dict(model.named_buffers(remove_duplicate=False))
        with torch.no_grad():
            for path, tensor in self._tuned.tensors.items():
                own[path].copy_(tensor)
        return model

    @cached_property
    def splits(self) -> Splits:
        return self._float.splits

    @cached_property
    def space(self) -> Space:
        return self._float.space

    @cached_property
    def program(self) -> Program:
        return self._trace(self.model)

    @cached_property
    def plan(self) -> Plan:
        return self._tuned.plan(self._float.plan)

    @cached_property
    def candidates(self) -> TunedCandidates:
        return TunedCandidates(self.plan, self._tuned)


def tuned_job(job: Job, run: Path, record: FineTuned) -> TunedJob:
    """The job of a fine-tuned trial of a run.

    Raises:
        InputError: its training failed.
        RunError: the file of its tensors is missing or damaged.
    """
    path = weights_path(run, record.name)
    if not record.digest:
        raise InputError(f"Fine-tuned trial {record.name} of '{run}' failed; there is nothing to take up.")
    try:
        data = read_file(path)
        if hashlib.sha256(data).hexdigest() != record.digest:
            raise ValueError("it was edited, or is not whole")
        tensors = {name: tensor.to(job.device) for name, tensor in load(data).items()}
    except OSError as error:
        raise RunError(f"'{path}' can't be read: {error.strerror}.") from error
    except (ValueError, SafetensorError) as error:
        raise RunError(f"'{path}' is damaged ({error}).") from error
    _check_tensors(job, tensors, path)
    names = dict(record.trial.assignment)
    try:
        inputs = {site: scaled_format(names[site], scale) for site, scale in record.inputs.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"The scales of {record.name} in '{run / NAME}' are damaged ({error!r}).") from error
    return TunedJob(job, Tuned(tensors, inputs))


def _check_tensors(job: Job, tensors: Mapping[str, Tensor], path: Path) -> None:
    """RunError where a file of trained tensors is that of another model."""
    known = job.model.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        if name not in known or known[name].shape != tensor.shape:
            raise RunError(f"'{path}' holds '{name}' of shape {tuple(tensor.shape)}, which the model hasn't.")
