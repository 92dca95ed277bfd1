"""What holds for every quality metric."""

import math
import pickle

import pytest
import torch

from bitfront import plugins

LANGUAGE = ("perplexity", "next_token_loss", "next_token_accuracy")  # outputs (examples, positions, classes)
NAMES = ("accuracy", "top5", "f1", "auroc", "loss", "agreement", "kl", "sqnr", *LANGUAGE)
UNITS = {"loss": "nats", "kl": "nats", "sqnr": "dB", "perplexity": "", "next_token_loss": "nats"}
MINIMISED = ("loss", "kl", "perplexity", "next_token_loss")


@pytest.fixture(params=NAMES)
def quality(request):
    return plugins.load("quality", request.param)()


def _examples(quality, *shape, seed=0):
    if quality.metric.name in LANGUAGE and len(shape) == 2:
        shape = (shape[0], 4, shape[1])
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(*shape, generator=generator)
    outputs = reference + 0.5 * torch.randn(*shape, generator=generator)
    return outputs, torch.randint(shape[-1], shape[:-1], generator=generator), reference


def test_name_unit_and_goal(quality):
    name = quality.metric.name
    assert name in NAMES
    assert quality.metric.unit == UNITS.get(name, "fraction")
    assert quality.metric.goal == ("min" if name in MINIMISED else "max")


def test_reads_only_what_it_says(quality):
    outputs, targets, reference = _examples(quality, 30, 6)
    whole = quality.statistics(outputs, targets, reference)
    nothing = torch.empty(0)
    lean = quality.statistics(
        outputs,
        targets if quality.needs_labels else nothing,
        reference if quality.needs_reference else nothing,
    )
    assert torch.equal(whole, lean)
    assert quality.needs_labels != quality.needs_reference


@pytest.mark.parametrize("shape", [(97, 6), (97, 3, 6)])
@pytest.mark.parametrize("size", [1, 8, 50])
def test_batching_changes_nothing(quality, shape, size):
    outputs, targets, reference = _examples(quality, *shape)
    whole = quality.statistics(outputs, targets, reference)
    batches = zip(outputs.split(size), targets.split(size), reference.split(size), strict=True)
    parts = torch.cat([quality.statistics(*batch) for batch in batches])
    assert whole.dtype == torch.float64
    assert whole.dim() == 2
    assert torch.equal(whole, parts)


@pytest.mark.parametrize("classes", [6, 40])
def test_several_candidates_at_once_are_the_same(quality, classes):
    if quality.many is None:
        pytest.skip("judges one candidate at a time")
    outputs, targets, _ = _examples(quality, 3 * 31, classes)
    targets = targets[:31]
    together = quality.many(outputs, targets, torch.empty(0))
    alone = [quality.statistics(part, targets, torch.empty(0)) for part in outputs.split(31)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("shape", [(97, 7), (41, 3, 7)])
def test_memory_layout_changes_nothing(quality, shape):
    outputs, targets, reference = _examples(quality, *shape)
    whole = quality.statistics(outputs, targets, reference)
    feature_major = outputs.movedim(-1, 0).contiguous().movedim(0, -1)
    slice_of_wide = torch.cat([reference, outputs], dim=-1)[..., shape[-1] :]
    for turned in (feature_major, slice_of_wide):
        assert not turned.is_contiguous()
        assert torch.equal(quality.statistics(turned, targets, reference), whole)


def test_number_of_threads_changes_no_statistics(quality):
    outputs, targets, reference = _examples(quality, 1, 50_000, 5)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = quality.statistics(outputs, targets, reference)
        torch.set_num_threads(2)
        assert torch.equal(quality.statistics(outputs, targets, reference), alone)
    finally:
        torch.set_num_threads(threads)


def test_value_is_of_examples_in_any_order_and_repeats(quality):
    rows = quality.statistics(*_examples(quality, 60, 6))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert quality.value(rows[order]) == pytest.approx(quality.value(rows), rel=1e-12)
    assert quality.value(torch.cat([rows, rows])) == pytest.approx(quality.value(rows), rel=1e-6)


def test_value_of_the_mean_row_where_promised(quality):
    rows = quality.statistics(*_examples(quality, 60, 3, 6))
    assert quality.of_means == (quality.metric.name not in ("f1", "auroc"))
    if quality.of_means:
        assert quality.value(rows.mean(dim=0, keepdim=True)) == pytest.approx(quality.value(rows), rel=1e-12)


def test_value_does_not_depend_on_threads(quality):
    rows = quality.statistics(*_examples(quality, 100_000, 5))
    threads = torch.get_num_threads()
    try:
        values = set()
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            values.add(quality.value(rows))
    finally:
        torch.set_num_threads(threads)
    assert len(values) == 1


def test_nothing_stays_from_one_candidate_to_the_next(quality):
    outputs, targets, reference = _examples(quality, 50, 6)
    alone = quality.value(quality.statistics(outputs, targets, reference))
    quality.value(quality.statistics(torch.full_like(outputs, math.nan), targets, reference))
    quality.value(quality.statistics(-outputs, targets, reference))
    assert quality.value(quality.statistics(outputs, targets, reference)) == alone


def test_travels_to_other_processes(quality):
    rows = quality.statistics(*_examples(quality, 20, 6))
    assert pickle.loads(pickle.dumps(quality)).value(rows) == quality.value(rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(quality, dtype):
    outputs, targets, reference = _examples(quality, 40, 6)
    outputs, reference = outputs.to(dtype), reference.to(dtype)
    same = quality.value(quality.statistics(outputs.double(), targets, reference.double()))
    measured = quality.value(quality.statistics(outputs, targets, reference))
    assert measured == pytest.approx(same, rel=1e-7 if quality.metric.name == "loss" else 0)
