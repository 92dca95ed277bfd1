"""What fine-tuning needs of a recipe: how it is done, and what is trained."""

from __future__ import annotations

from bitfront.graph.model import Graph
from bitfront.recipe.schema import FinetuneTable
from bitfront.runtime.plan import Plan
from bitfront.train.loop import Settings
from bitfront.train.losses import Distillation
from bitfront.train.quantized import Tuning

_OF_LOOP = ("epochs", "learning_rate", "batch_size", "seed", "optimizer", "schedule", "weight_decay")


def tuning_of(table: FinetuneTable, steps: int | None = None) -> Tuning:
    """The table as what training is told; with `steps` that many in place of its epochs."""
    return Tuning(
        settings=Settings(**{name: getattr(table, name) for name in _OF_LOOP}, steps=steps),
        distillation=Distillation(float(table.distillation), float(table.temperature)),
        learned_scales=table.learned_scales,
        batch_norm=table.batch_norm,
    )


def trained_slots(graph: Graph, plan: Plan) -> frozenset[int]:
    """The slots of the model's parameters; what it stores beside them (statistics, tables) isn't trained."""
    trained = {parameter.name for parameter in graph.parameters if parameter.trained}
    return frozenset(
        slot
        for slot, tensor in plan.stored.items()
        if plan.paths[slot] in trained and tensor.is_floating_point()
    )
