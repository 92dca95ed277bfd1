"""What fine-tuning gives back: accuracy in float, after rounding alone, and after training with the quantizers.

python benchmarks/finetune.py digits | tables | jets [PATH] | resnet [EPOCHS [COPIES]]

Every figure is measured here, on the machine that runs it, on test examples that took part in nothing: neither in
training, nor in choosing an epoch (the last one counts). The data lies in the folder named by BITFRONT_DATA, and is
real but for the jets' stand-in. The real jets are read from PATH, from what BITFRONT_JETS names, or from `jets` in
that folder: a file or a folder of files, as `bitfront.zoo.jets` takes it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import SHARED, load_shared_models, normalised
from torch import Tensor, nn

from bitfront import zoo
from bitfront.finetune import finetune_trials, fronts
from bitfront.metric import Measurement, Outcome
from bitfront.recipe import Job
from bitfront.recipe.reading import from_document
from bitfront.recipe.schema import FinetuneTable
from bitfront.recipe.tuning import trained_slots, tuning_of
from bitfront.running import run_job
from bitfront.runtime.data import Examples
from bitfront.space import FLOAT, Assignment
from bitfront.train import Settings, fit
from bitfront.train.evaluator import formats_of
from bitfront.train.quantized import tune
from bitfront.train.tuned import outputs_of

Data = dict[str, tuple[Tensor, Tensor]]

# Accuracies of others on the real jets, each as its source says it: who, what, accuracy, where it stands.
PUBLISHED = (
    ("QKeras, AutoQ", "16-64-32-32-5; weights of 4, 2, 2, 2 bits", "72.79%", "test set, in a notebook [1]"),
    ("Keras 3, float", "16-64-32-32-5", "about 75%", "expected, on a page of QKeras V3 [2]"),
    ("LogicNets JSC-S, -M, -L", "look-up tables", "68.8%, 71.5%, 72.6%", "its repository [3]"),
)
SOURCES = (
    "[1] github.com/fastmachinelearning/hawq-jet-tagging, training/jet_tagging/autoqkeras/qkeras_precision.ipynb",
    "[2] fastmachinelearning.org/tools, QKerasV3: Bringing Next-Gen Quantization-Aware Training to Keras 3",
    "[3] github.com/Xilinx/logicnets, examples/jet_substructure/README.md: a reimplementation of Umuroglu et al. "
    "2020, arXiv:2004.03021; the state of it in the fork nickfraser/logicnets has 69.4%, 71.9%, 73.0%",
)


def main() -> None:
    """Print the table that was asked for."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    names = {"digits": digits, "tables": tables, "jets": jets, "resnet": resnet}
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"usage: {sys.argv[0]} {' | '.join(names)}")
    names[sys.argv[1]](*sys.argv[2:])


def digits() -> None:
    """A search on two and three bits; its front, and the same trials with ten epochs of training each."""
    model = zoo.digits_cnn()
    made = zoo.digits()
    fit(
        model,
        Examples((made["train"][0],), made["train"][1]),
        _examples(made["search"]),
        Settings(20, 0.01, 64, 0),
    )
    rules = [
        {"match": kind, "weight": ["int3c", "int2c"], "input": ["uint3", "uint2"]}
        for kind in ("type:conv2d", "type:linear")
    ]
    job = make_job(model, made, rules, {"strategy": "brute-force", "trials": 256})
    with tempfile.TemporaryDirectory() as folder:
        run, started = Path(folder) / "run", time.perf_counter()
        results = run_job(job, run)
        searched = time.perf_counter() - started
        records = list(finetune_trials(run, job, [member.trial for member in results.front]))
    tests = {member.trial.number: member.test["accuracy"].value for member in results.front}
    spent = sum(record.seconds for record in records)
    print(
        f"float {results.baseline.metrics['accuracy']:.2%} (test {results.baseline.test['accuracy'].value:.2%})"
    )
    print(f"{len(results.trials) - 1} points of 2 and 3 bits in {searched:.0f} s; training {spent:.0f} s\n")
    print(
        "| size | after rounding | test | fine-tuned | test | training |\n| --- | --- | --- | --- | --- | --- |"
    )
    for member, record in zip(results.front, records, strict=True):
        print(
            f"| {member.metrics['size']:,.0f} B | {member.metrics['accuracy']:.2%} "
            f"| {tests[member.trial.number]:.2%} | {record.trial.values['accuracy']:.2%} "
            f"| {record.test['accuracy'].value:.2%} | {record.seconds:.1f} s |"
        )
    after = fronts(results.trials, records, results.objectives).after
    print(f"\nThe front had {len(results.front)} members; with the fine-tuned ones it has {len(after)}.")


def tables() -> None:
    """The 16-64-32-32 perceptrons on two real tables, in six and in few bits."""
    models = load_shared_models()
    for name, model in (("dry_bean", models.dry_bean_mlp()), ("letter", models.letter_mlp())):
        stored = np.load(SHARED / f"tabular/{name}.npz")
        part = {
            p: (torch.from_numpy(stored[f"x_{p}"]), torch.from_numpy(stored[f"y_{p}"]).long())
            for p in ("train", "test")
        }
        print(f"\n{name}\n")
        _six_bits(
            model, {"train": part["train"], "calibration": part["train"], "search": part["test"]}, few=True
        )


def jets(path: str = "") -> None:
    """The jet tagger 16-64-32-32-5, on the real jets where there is a file of them, else on invented data."""
    source = path or os.environ.get("BITFRONT_JETS", "")
    if not source and (SHARED / "jets").exists():
        source = str(SHARED / "jets")
    made = zoo.jets(source) if source else zoo.jets_synthetic()
    print(
        f"Real jets, from {Path(source).name}: {len(made['test'][1]):,} test examples.\n"
        if source
        else "INVENTED data in the shape of the jets: no figure of ours can be compared with a published one.\n"
    )
    torch.manual_seed(0)
    model = zoo.jsc_mlp()
    fit(model, _examples(made["train"]), _examples(made["search"]), Settings(20, 0.003, 256, 0))
    _six_bits(model, made | {"search": made["test"]}, few=False)
    print("\nPublished by others, on the real jets:\n\n| who | network | accuracy | where it stands |")
    print("| --- | --- | --- | --- |")
    for row in PUBLISHED:
        print(f"| {' | '.join(row)} |")
    print("\n" + "\n".join(SOURCES))


def _six_bits(model: nn.Module, data: Data, few: bool) -> None:
    pairs = [("int6", "int6"), ("q1.4", "q2.3"), ("int6c", "uint6"), ("int4c", "uint4")]
    pairs += [("int3c", "uint3"), ("int2c", "uint3")] if few else []
    names = {
        "weight": list(dict.fromkeys(weight for weight, _ in pairs)),
        "input": list(dict.fromkeys(given for _, given in pairs)),
    }
    job = make_job(model, data, [{"match": "type:linear", **names}])
    table = FinetuneTable(epochs=20, batch_size=256, learning_rate=0.003)
    _compare(job, [uniform(job, weight, given) for weight, given in pairs], table)


def resnet(epochs: str = "6", copies: str = "4") -> None:
    """ResNet-20 in eight bits without training, in four after training on 1,024 images and shifted copies."""
    models = load_shared_models()
    train, test = (np.load(SHARED / f"cifar10/{name}.npz") for name in ("train1024", "test761"))
    y = torch.from_numpy(train["y"]).long()
    pixels, labels = shifted(torch.from_numpy(train["x"]), y, int(copies))
    given = normalised(train["x"])
    data = {
        "train": (normalised(pixels.numpy()), labels),
        "calibration": (given[:256], y[:256]),
        "search": (normalised(test["x"]), torch.from_numpy(test["y"]).long()),
    }
    names = {"weight": ["int8c", "int4c"], "input": ["uint8", "uint4"]}
    job = make_job(
        models.resnet20(), data, [{"match": kind, **names} for kind in ("type:conv2d", "type:linear")]
    )
    table = FinetuneTable(
        epochs=int(epochs), batch_size=64, learning_rate=5e-4, distillation=1.0, temperature=2.0
    )
    count = len(data["search"][1])
    print(
        f"{len(labels):,} training images (1,024, and copies that are shifted, some mirrored); {count} test images"
    )
    _compare(job, [uniform(job, "int8c", "uint8")], None)
    _compare(job, [uniform(job, "int4c", "uint4")], table)


def shifted(pixels: Tensor, labels: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """The images (images, 32, 32, 3), and copies moved by up to 4 pixels, every second of them mirrored."""
    generator = torch.Generator().manual_seed(0)
    found = [pixels]
    padded = nn.functional.pad(pixels, (0, 0, 4, 4, 4, 4))
    for copy in range(1, copies):
        moves = torch.randint(0, 9, (len(pixels), 2), generator=generator).tolist()
        moved = torch.stack(
            [image[i : i + 32, j : j + 32] for image, (i, j) in zip(padded, moves, strict=True)]
        )
        found.append(moved.flip(2) if copy % 2 else moved)
    return torch.cat(found), labels.repeat(copies)


def make_job(
    model: nn.Module,
    data: Any,
    rules: list[dict[str, Any]],
    search: dict[str, Any] | None = None,
) -> Job:
    """A job on accuracy and size; layers that the model lacks are no mistake."""
    kinds = {"type:conv2d": nn.Conv2d, "type:linear": nn.Linear}
    there = [
        rule for rule in rules if any(isinstance(module, kinds[rule["match"]]) for module in model.modules())
    ]
    document = {
        "space": there,
        "metrics": {"accuracy": {}, "size": {}},
        "search": search or {},
    }
    return Job(from_document(document), Path(), model.eval(), data, 256)


def uniform(job: Job, weight: str, given: str) -> Assignment:
    """Every weight in one format, and every input in one."""
    names = {"weight": weight, "input": given}
    return Assignment(
        tuple(job.space.sites), tuple(names[site.rpartition(":")[2]] for site in job.space.sites)
    )


def _compare(job: Job, candidates: list[Assignment], table: FinetuneTable | None) -> None:
    """One row a candidate."""
    (baseline,) = job.evaluator.evaluate([FLOAT])
    print("| weights / inputs | float | rounded | fine-tuned | to float | training |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for candidate in candidates:
        (rounded,) = job.evaluator.evaluate([candidate])
        started, after = time.perf_counter(), rounded
        if table is not None:
            after = _finetuned(job, candidate, table)
        seconds = time.perf_counter() - started
        names = "/".join(dict.fromkeys(reversed(candidate.formats)))
        gained = 100 * (_accuracy(after) - _accuracy(baseline))
        print(
            f"| {names} | {_accuracy(baseline):.2%} | {_accuracy(rounded):.2%} "
            f"| {f'{_accuracy(after):.2%}' if table else 'not trained'} "
            f"| {gained:+.2f} points | {f'{seconds:.0f} s' if table else ''} |",
            flush=True,
        )


def _finetuned(job: Job, candidate: Assignment, table: FinetuneTable) -> Outcome:
    formats = formats_of(job.plan, job.candidates, candidate, table.learned_scales)
    trained = trained_slots(job.graph, job.plan)

    def watch(epoch: Any) -> None:
        print(
            f"  epoch {epoch.number}: loss {epoch.loss:.4f}, {epoch.seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    tuned, _ = tune(job.plan, formats, trained, job.training(), tuning_of(table), job.task, watch=watch)
    return job.judge.outcome_of(outputs_of(tuned, job.plan, candidate), candidate, job.splits.search)


def _accuracy(outcome: Outcome) -> float:
    assert isinstance(outcome, Measurement)
    return outcome.values["accuracy"]


def _examples(part: tuple[Tensor, Tensor]) -> Examples:
    return Examples((part[0],), part[1])


if __name__ == "__main__":
    main()
