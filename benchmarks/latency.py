"""Is measured latency real, right and repeatable? The figures of docs/latency.md.

* mixes: random int8/fp32 mixes of a model. Of each: the receipt, how far runtime and simulator agree, and its
  latency, measured twice in different orders (Spearman between the passes). What a candidate costs.
* contrast: the float model and its int8 candidate, fake-quantized in PyTorch and lowered to ONNX Runtime.
* search: 100 candidates of ResNet-20 with accuracy and latency as objectives (examples/resnet20-latency.toml).

python benchmarks/latency.py mixes [mlp transformer resnet20] [--count 40]
python benchmarks/latency.py contrast
python benchmarks/latency.py search [--trials 100]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import cases
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from bitfront.latency.measure import Latency, Measurer
from bitfront.latency.predict import ENOUGH, describe_candidate, fit
from bitfront.latency.protocol import interleave
from bitfront.latency.session import OnnxRuntimeSession
from bitfront.latency.simulate import simulate
from bitfront.metric import Objectives
from bitfront.recipe import Job, read
from bitfront.recipe.reading import from_document
from bitfront.results import Results
from bitfront.running import run_job
from bitfront.runtime.module import QuantizedModule
from bitfront.space import Assignment

_SPACE = [{"match": f"type:{kind}", "input": ["uint8"], "weight": ["int8c"]} for kind in ("conv2d", "linear")]
_PRODUCTS = {"match": "type:matmul", "input": ["uint8"], "other": ["uint8"]}


class Transformer(nn.Module):
    """One pre-norm block with four heads over 32 tokens, and a head that picks one of ten classes."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.norm, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        query, key, value = (
            layer(normed).unflatten(-1, (4, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        x = x + self.down(nn.functional.gelu(self.up(self.second(x))))
        return self.head(x.mean(1))


def _resnet20() -> Job:
    model, data = cases.resnet20()
    return _job(model, data, _SPACE)


def _mlp() -> Job:
    models = cases.load_shared_models()
    stored = np.load(cases.SHARED / "tabular/letter.npz")
    x, y = _rows(stored)
    splits = {"calibration": (x[:512], y[:512]), "search": (x[512:2560], y[512:2560])}
    return _job(models.letter_mlp(), splits, _SPACE)


def _rows(stored: Any) -> tuple[Tensor, Tensor]:
    names = list(stored)
    inputs = next(name for name in names if stored[name].ndim == 2)
    labels = next(
        name for name in names if stored[name].ndim == 1 and len(stored[name]) == len(stored[inputs])
    )
    return torch.from_numpy(stored[inputs]).float(), torch.from_numpy(stored[labels]).long()


def _transformer() -> Job:
    torch.manual_seed(0)
    x, y = torch.randn(512, 32, 256), torch.zeros(512, dtype=torch.long)
    data = {"calibration": (x[:128], y[:128]), "search": (x[256:], y[256:])}
    return _job(Transformer().eval(), data, [*_SPACE, _PRODUCTS])


def _job(model: nn.Module, data: Any, space: list[Any]) -> Job:
    document = {
        "space": [{**rule, "keep": True} for rule in space if _matches(model, rule)],
        "metrics": {"accuracy": {}, "latency": {}},
        "latency": {"no_kernel": "float"},
    }
    return Job(from_document(document), Path(), model, data, 64)


def _matches(model: nn.Module, rule: Any) -> bool:
    kinds = {"type:conv2d": nn.Conv2d, "type:linear": nn.Linear}
    return rule["match"] not in kinds or any(isinstance(m, kinds[rule["match"]]) for m in model.modules())


JOBS: dict[str, Callable[[], Job]] = {"mlp": _mlp, "transformer": _transformer, "resnet20": _resnet20}


def mixes_of(job: Job, count: int) -> list[Assignment]:
    """Random mixes: each layer is in int8 or in float, with a chance that differs from mix to mix.

    Of nets with few layers, some integers are narrower, in int8 containers.
    """
    draw = Random(0)
    found: dict[Assignment, None] = {}
    for _ in range(100 * count):
        share, chosen = draw.random(), {}
        for layer in job.layers:
            if draw.random() < share:
                narrow = len(job.layers) < 6 and draw.random() < 0.5  # a small net has too few mixes
                chosen |= {site: "uint6" if narrow else "uint8" for site in layer.inputs if site}
                weight = job.layers.site(layer.weight)
                chosen |= {weight: "int5c" if narrow else "int8c"} if weight else {}
        found[Assignment.of(chosen)] = None
        if len(found) == count:
            break
    return list(found)


def mixes(name: str, count: int) -> None:
    job = JOBS[name]()
    measurer, candidates = job.measurer, mixes_of(job, count)
    agreement = [_agreement(job, candidate) for candidate in candidates]
    first = [measurer.measure(candidate) for candidate in candidates]
    again = measurer.again(candidates, seed=1)
    second = [again[candidate] for candidate in candidates]
    top1, means, largest = zip(*agreement, strict=True)
    flagged = sum(any("lowering" in remark for remark in found.remarks) for found in first)
    passes = [[found.milliseconds for found in one] for one in (first, second)]
    print(f"{name}: {len(candidates)} mixes of {len(job.layers)} layers, batch 1, one thread, ONNX Runtime")
    print(f"  receipts         {len(candidates) - flagged} of {len(candidates)} as asked")
    print(f"  same top class   {np.mean(top1):.4f} over all, {min(top1):.4f} at worst")
    print(f"  output distance  mean {np.mean(means):.2g}, largest {max(largest):.2g}")
    print(f"  float            {measurer.reference_milliseconds:.4f} ms")
    print(
        f"  mixes            {min(passes[0]):.4f} … {max(passes[0]):.4f} ms, "
        f"{np.mean(np.array(passes[0]) > measurer.reference_milliseconds):.0%} slower than float"
    )
    differences = np.abs(np.array(passes[0]) / np.array(passes[1]) - 1)
    rank = spearmanr(passes[0], passes[1])[0]
    print(
        f"  measured twice   Spearman {rank:.3f}; differs by {np.median(differences):.2%} "
        f"(median), {np.percentile(differences, 90):.2%} (nine in ten)"
    )
    _show_estimate(job, candidates, passes[0])
    _show_cost(first)


def _agreement(job: Job, candidate: Assignment) -> tuple[float, float, float]:
    """Runtime against simulator on the search split: same top class, mean and largest distance."""
    measurer, lowered = job.measurer, job.lowering.lower(candidate)
    inputs = job.splits.search.inputs
    session = OnnxRuntimeSession(measurer.emitter(lowered), [tensor[:1].numpy() for tensor in inputs])
    real, simulated = [], []
    for batch in job.splits.search.batches(128):
        real.append(session.outputs([tensor.numpy() for tensor in batch.inputs]))
        simulated.append(simulate(job.lowering.network, lowered, batch.inputs).numpy())
    one, other = np.concatenate(real), np.concatenate(simulated)
    distance = np.abs(one - other)
    same = (one.argmax(-1) == other.argmax(-1)).mean()
    return float(same), float(distance.mean()), float(distance.max())


def _show_estimate(job: Job, candidates: Sequence[Assignment], milliseconds: Sequence[float]) -> None:
    """The estimate that the first candidates give, of the others."""
    lowered = [job.lowering.lower(candidate) for candidate in candidates]
    described = [describe_candidate(one, job.measurer.emitter(one)) for one in lowered]
    if len(candidates) <= ENOUGH + 5:
        return
    predictor = fit(described[:ENOUGH], milliseconds[:ENOUGH])
    rank = predictor.rank_correlation(described[ENOUGH:], milliseconds[ENOUGH:])
    print(
        f"  estimate         Spearman {rank:.3f} on {len(candidates) - ENOUGH} held out, fitted on {ENOUGH}"
    )


def _show_cost(found: Sequence[Latency]) -> None:
    edit, session, measure = (median(latency.seconds[part] for latency in found) * 1e3 for part in range(3))
    total, pairs = edit + session + measure, median(latency.pairs for latency in found)
    print(
        f"  a candidate      edit {edit:.1f} ms ({edit / total:.0%}), session {session:.1f} ms "
        f"({session / total:.0%}), measuring {measure:.1f} ms, {pairs:.0f} pairs"
    )


def contrast(name: str) -> None:
    job = JOBS[name]()
    everything = Assignment.of(
        {
            site: name
            for layer in job.layers
            for site, name in (
                *((s, "uint8") for s in layer.inputs),
                (job.layers.site(layer.weight), "int8c"),
            )
            if site
        }
    )
    image = job.splits.search[:1].inputs
    plain = job.model
    fake = QuantizedModule(job.plan, job.candidates, everything)
    with torch.inference_mode():
        torched = interleave(lambda: fake(*image), lambda: plain(*image))
        once = [_once(lambda: fake(*image)) for _ in range(20)]
    real = job.measurer.measure(everything)
    print(f"{name}, batch 1, one thread: int8 against float")
    print(f"  fake-quantized PyTorch   {torched.ratio:5.2f} × the time of the float module")
    print(f"  lowered, ONNX Runtime    {real.ratio:5.2f} × the time of the float model in it")
    print(
        f"  time.time() around one fake-quantized forward: {min(once):.2f} … {max(once):.2f} ms in 20 tries"
    )


def _once(run: Callable[[], object]) -> float:
    started = time.time()
    run()
    return (time.time() - started) * 1e3


def search(trials: int) -> None:
    path = cases.ROOT / "examples/resnet20-latency.toml"
    recipe, _ = read(path)
    recipe = recipe.model_copy(update={"search": recipe.search.model_copy(update={"trials": trials})})
    job = Job(recipe, path.parent)
    started, busy = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        results = run_job(job, Path(folder) / "run")
    busy = (time.process_time() - busy) * 1e3 / len(results.trials)
    print(f"{len(results.trials)} candidates in {(time.perf_counter() - started) / 60:.1f} minutes")
    known = list(job.measurer.known.values())
    _show_cost(known)
    prepared = sum(sum(latency.seconds[:2]) for latency in known) * 1e3 / len(known)
    print(f"  in all           {busy:.0f} ms of CPU, edit and session {prepared / busy:.1%} of it")
    show_front(results, results.objectives, job.measurer)


def show_front(results: Results, objectives: Objectives, measurer: Measurer) -> None:
    """The references, the front, and the front measured again beside uniform int8."""
    print(f"  float        {_shown(results.baseline.metrics)}")
    for name, trial in results.uniform.items():
        print(f"  uniform {name:<5}{_shown(trial.values)}")
    for member in results.front:
        print(f"  trial {member.trial.number:<7}{_shown(member.metrics)}")
    for note in results.notes:
        print(f"  {note}")


def _shown(values: Any) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=("mixes", "contrast", "search"))
    parser.add_argument("models", nargs="*", default=[], help=", ".join(JOBS))
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--trials", type=int, default=100)
    given = parser.parse_args()
    if given.part == "search":
        search(given.trials)
    for name in given.models or list(JOBS):
        if given.part == "mixes":
            mixes(name, given.count)
        elif given.part == "contrast":
            contrast(name)


if __name__ == "__main__":
    main()
