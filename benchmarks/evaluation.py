"""How many candidates a second: the product against a naive loop and against a plain cached forward.

All three run alternately in one process, on one thread; each prints its median and spread over the rounds, in
CPU microseconds a candidate.

* naive: what a search usually does. Copies the model, quantizes its weights, hooks its inputs, runs a
  DataLoader and updates torchmetrics objects.
* cached: quantized weights are kept, data lies ready in one tensor, one plain forward per candidate.
* bitfront: `evaluate` on the whole list.

python benchmarks/evaluation.py [jsc_tiny jsc_mlp resnet20 …] [--quick]
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from cases import CASES, Case
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from bitfront.formats import Axes, format
from bitfront.space import Assignment


def naive(case: Case, candidate: Assignment) -> tuple[float, float]:
    """Accuracy and loss as a loop that starts from scratch for every candidate gets them."""
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
    """Accuracy and loss from one forward with kept weights."""
    plan, kept, search = case.job.plan, case.job.candidates, case.job.splits.search
    assert search.targets is not None
    with torch.inference_mode():
        outputs = torch.cat(
            [plan.run(b.inputs, kept.weights(candidate), kept.quantizers(candidate)) for b in case.batches]
        )
        right = (outputs.max(-1).indices == search.targets).float().mean()
        return right.item(), cross_entropy(outputs, search.targets).item()


def clock(work: Callable[[], object], candidates: int) -> float:
    """CPU microseconds a candidate."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / candidates * 1e6


def show(label: str, times: Sequence[float]) -> None:
    print(f"  {label:<10} {median(times):12.1f} µs   [{min(times):.1f} … {max(times):.1f}]")


def compare(case: Case, rounds: int) -> None:
    """One table row, and that all three agree."""
    space = case.job.space
    everything = case.candidates()
    few, some = (
        everything[:: max(1, len(everything) // case.few)],
        everything[:: max(1, len(everything) // case.some)],
    )
    evaluator = case.job.evaluator
    for _ in range(4):  # the evaluator measures itself on its first groups
        evaluator.evaluate(everything)
    times: dict[str, list[float]] = {"naive": [], "cached": [], "bitfront": []}
    for _ in range(rounds):
        times["naive"].append(clock(lambda: [naive(case, c) for c in few], len(few)))
        times["cached"].append(clock(lambda: [cached(case, c) for c in some], len(some)))
        times["bitfront"].append(clock(lambda: evaluator.evaluate(everything), len(everything)))
    print(f"{case.name}: {len(everything):,} of {space.size:,} points, batch {case.batch_size}")
    for label, found in times.items():
        show(label, found)
    ours = median(times["bitfront"])
    naive_ratio, cached_ratio = median(times["naive"]) / ours, median(times["cached"]) / ours
    print(f"  naive / bitfront {naive_ratio:8.1f}    cached / bitfront {cached_ratio:6.2f}")
    check(case, few)


def check(case: Case, candidates: Sequence[Assignment]) -> None:
    """The three must agree: accuracy exactly, loss to rounding."""
    for candidate, outcome in zip(candidates, case.job.evaluator.evaluate(candidates), strict=True):
        values = outcome.values  # pyright: ignore[reportAttributeAccessIssue]
        for accuracy, loss in (naive(case, candidate), cached(case, candidate)):
            assert abs(accuracy - values["accuracy"]) < 1e-6, (accuracy, values)
            assert abs(loss - values["loss"]) < 1e-4 * max(1.0, abs(loss)), (loss, values)


def main() -> None:
    torch.set_num_threads(1)
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")] or list(CASES)
    for name in chosen:
        compare(CASES[name](), rounds=2 if "--quick" in sys.argv else 5)


if __name__ == "__main__":
    main()
