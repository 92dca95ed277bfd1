"""What candidates are usually judged by: a loop that starts from scratch, and a forward with kept weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from cases import Case
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from bitfront.formats import Axes, format
from bitfront.space import Assignment


def naive(case: Case, candidate: Assignment) -> tuple[float, float]:
    """Accuracy and loss from scratch, in the manner of MASE's search.

    There a candidate is a copy of the model whose layers quantize weight, bias and input in every forward; a
    DataLoader feeds it, and torchmetrics objects are *called* with each batch, which gives the batch's own value
    besides adding it up (`RunnerBasicEval` and the quantized modules of github.com/DeepWok/mase). Left out in its
    favour: its graph passes, the second call of the loss metric, pickles.
    """
    model = copy.deepcopy(case.job.model)
    sites = case.job.graph.site
    quantize: dict[str, list[tuple[str, Callable[[Tensor], Tensor]]]] = {}
    for name, chosen in candidate.items():
        site = sites[name]
        number_format = (
            format(chosen) if site.is_parameter else case.job.candidates.input_format(name, chosen)
        )
        function = partial(number_format.quantize, axes=Axes(site.channel, site.reduction))
        quantize.setdefault(site.layer, []).append((site.role, function))
    for layer, functions in quantize.items():
        _replace(model, layer, functions)
    accuracy, loss = MulticlassAccuracy(case.classes, average="micro"), MeanMetric()
    search = case.job.splits.search
    assert search.targets is not None
    with torch.no_grad():
        for inputs, labels in DataLoader(TensorDataset(*search.inputs, search.targets), case.batch_size):
            outputs = model(inputs)
            accuracy(outputs, labels)
            loss(cross_entropy(outputs, labels), weight=len(labels))
    return accuracy.compute().item(), loss.compute().item()


class Quantized(nn.Module):
    """A layer that quantizes its tensors in every forward."""

    def __init__(self, layer: nn.Module, functions: Sequence[tuple[str, Callable[[Tensor], Tensor]]]) -> None:
        super().__init__()
        self.layer = layer
        self.parameters_by_role = {role: function for role, function in functions if role != "input"}
        self.inputs = [function for role, function in functions if role == "input"]

    def forward(self, values: Tensor) -> Tensor:
        for function in self.inputs:
            values = function(values)
        tensors = {role: f(getattr(self.layer, role)) for role, f in self.parameters_by_role.items()}
        return functional_call(self.layer, tensors, (values,))


def _replace(
    model: nn.Module, layer: str, functions: Sequence[tuple[str, Callable[[Tensor], Tensor]]]
) -> None:
    parent, _, name = layer.rpartition(".")
    setattr(model.get_submodule(parent), name, Quantized(model.get_submodule(layer), functions))


def cached(case: Case, candidate: Assignment) -> tuple[float, float]:
    """Accuracy and loss from one forward with kept weights, on data that lies ready in tensors."""
    plan, kept, search = case.job.plan, case.job.candidates, case.job.splits.search
    assert search.targets is not None
    with torch.inference_mode():
        weights, quantizers = kept.weights(candidate), kept.quantizers(candidate)
        outputs = torch.cat([plan.run(batch.inputs, weights, quantizers) for batch in case.batches])
        right = (outputs.max(-1).indices == search.targets).float().mean()
        return right.item(), cross_entropy(outputs, search.targets).item()
