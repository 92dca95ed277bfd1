"""What fine-tuning needs of a job: how it is done, what is trained, and in which formats."""

from __future__ import annotations

from bitfront.formats import Format, format
from bitfront.recipe.job import Job
from bitfront.recipe.schema import FinetuneTable
from bitfront.space import Assignment
from bitfront.train.loop import Settings
from bitfront.train.losses import Distillation
from bitfront.train.quantized import Tuning

_OF_LOOP = ("epochs", "learning_rate", "batch_size", "seed", "optimizer", "schedule", "weight_decay")


def tuning_of(table: FinetuneTable) -> Tuning:
    """The table as what training is told."""
    return Tuning(
        settings=Settings(**{name: getattr(table, name) for name in _OF_LOOP}),
        distillation=Distillation(float(table.distillation), float(table.temperature)),
        learned_scales=table.learned_scales,
        batch_norm=table.batch_norm,
    )


def formats_of(job: Job, assignment: Assignment) -> dict[str, Format]:
    """The format of every site that is quantized; inputs as the float model's calibration found them."""
    return {
        site: format(name) if site in job.plan.weight_slots else job.candidates.input_format(site, name)
        for site, name in assignment.items()
        if name != "fp32"
    }


def trained_slots(job: Job) -> frozenset[int]:
    """The slots of the model's parameters; what it stores beside them (statistics, tables) isn't trained."""
    trained = {parameter.name for parameter in job.graph.parameters if parameter.trained}
    plan = job.plan
    return frozenset(
        slot
        for slot, tensor in plan.stored.items()
        if plan.paths[slot] in trained and tensor.is_floating_point()
    )
