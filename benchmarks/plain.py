"""What candidates are usually judged by: a loop that starts from scratch, and a forward with kept weights."""

from __future__ import annotations

import copy

import torch
from cases import Case
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from bitfront.formats import Axes, format
from bitfront.space import Assignment


def naive(case: Case, candidate: Assignment) -> tuple[float, float]:
    """Accuracy and loss from scratch: copy the model, quantize its weights, hook its inputs, load, measure."""
    model = copy.deepcopy(case.job.model)
    graph = case.job.graph
    for name, chosen in candidate.items():
        site = graph.site[name]
        axes = Axes(site.channel, site.reduction)
        module = model.get_submodule(site.layer)
        if site.is_parameter:
            tensor = getattr(module, site.role)
            tensor.data = format(chosen).quantize(tensor.data, axes)
        else:
            calibrated = case.job.candidates.input_format(name, chosen)
            module.register_forward_pre_hook(lambda _, args, q=calibrated, a=axes: (q.quantize(args[0], a),))
    accuracy, loss = MulticlassAccuracy(case.classes, average="micro"), MeanMetric()
    search = case.job.splits.search
    assert search.targets is not None
    with torch.no_grad():
        for inputs, labels in DataLoader(TensorDataset(*search.inputs, search.targets), case.batch_size):
            outputs = model(inputs)
            accuracy.update(outputs, labels)
            loss.update(cross_entropy(outputs, labels), weight=len(labels))
    return accuracy.compute().item(), loss.compute().item()


def cached(case: Case, candidate: Assignment) -> tuple[float, float]:
    """Accuracy and loss from one forward with kept weights, on data that lies ready in tensors."""
    plan, kept, search = case.job.plan, case.job.candidates, case.job.splits.search
    assert search.targets is not None
    with torch.inference_mode():
        weights, quantizers = kept.weights(candidate), kept.quantizers(candidate)
        outputs = torch.cat([plan.run(batch.inputs, weights, quantizers) for batch in case.batches])
        right = (outputs.max(-1).indices == search.targets).float().mean()
        return right.item(), cross_entropy(outputs, search.targets).item()
