"""A job whose model has the tensors of a fine-tuned trial: it is measured and exported like any other."""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from bitfront.errors import InputError, RunError
from bitfront.finetune.record import FineTuned, weights_path
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
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != record.digest:
            raise ValueError("it was edited, or is not whole")
        tensors = {name: tensor.to(job.device) for name, tensor in load(data).items()}
    except OSError as error:
        raise RunError(f"'{path}' can't be read: {error.strerror}.") from error
    except (ValueError, SafetensorError) as error:
        raise RunError(f"'{path}' is damaged ({error}).") from error
    names = dict(record.trial.assignment)
    inputs = {site: scaled_format(names[site], scale) for site, scale in record.inputs.items()}
    return TunedJob(job, Tuned(tensors, inputs))
