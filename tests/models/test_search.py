"""A search of 20 trials on every architecture, with random weights and data."""

import pytest
import torch

import bitfront
from bitfront.metric import Measurement
from tests.models.zoo import CASES, Case, shared_models

SPACE = {
    "type:conv_transpose1d": {"weight": ["int8", "e4m3"], "input": ["uint8"]},
    "type:embedding": {"weight": ["int8c", "int4c"]},
    "type:softmax": {"input": ["int8", "e4m3"]},
    "type:matmul": {"input": ["uint8", "int4"], "other": ["int8", "int4"]},
    "type:einsum": {"input": ["uint8", "int4"], "other": ["int8", "int4g4"]},
    "type:*norm": {"input": ["int8", "int6"], "weight": ["int8"], "bias": ["q3.4"]},
    "type:add": {"input": ["int8", "int4"], "other": ["int8", "int4"], "ties": ["residual"]},
    "type:mul": {"input": ["int8", "e4m3"], "other": ["int8"]},
    "type:cat": {"input": ["uint8", "int4"]},
    "type:*": {
        "input": ["uint8", "int4"],
        "weight": ["int8c", "int4c"],
        "bias": ["int8", "int6"],
        "keep": True,
    },
}


def _split(case: Case, count: int):
    return case.inputs(count), torch.arange(count) % case.classes


def _space(case: Case) -> dict:
    """The rules that find something: one that matches nothing, or ties nothing, is an error."""
    model, inputs = case.make(), case.inputs(4)
    operations = bitfront.capture(model, inputs).operations
    space: dict = {}
    for match, rule in SPACE.items():
        kind = match.partition(":")[2]
        found = [
            o
            for o in operations
            if o.sites and (o.op == kind or (kind[0] == "*" and o.op.endswith(kind[1:])))
        ]
        roles = {role for operation in found for role in operation.sites}
        kept = {role: value for role, value in rule.items() if role in roles or role == "keep"}
        if "ties" in rule and any(len(o.sites) == 2 for o in found):
            kept["ties"] = rule["ties"]
        if kept.keys() - {"keep", "ties"}:
            space[match] = kept
    return space


def _search(model, case, space, **options):
    splits = {name: _split(case, count) for name, count in (("calibration", 8), ("search", 12), ("test", 6))}
    metrics = ["agreement", "size", "bit_ops", "memory_traffic", "average_input_bits"]
    return bitfront.search(
        model,
        data=splits,
        space=space,
        metrics=metrics,
        strategy="random",
        trials=20,
        batch_size=8,
        **options,
    )


@pytest.mark.parametrize("name", CASES)
def test_twenty_trials(name):
    case = CASES[name]
    torch.manual_seed(0)
    model = case.make().eval()
    study = _search(model, case, _space(case))
    assert len(study.trials) >= 20
    for trial in study.trials:
        assert isinstance(trial.outcome, Measurement), trial.outcome
    inputs = case.inputs(3)
    module = study.front[0].module()
    found = module(**inputs) if isinstance(inputs, dict) else module(inputs)
    assert torch.isfinite(found).all()


def test_resnet20(shared_data):
    case = Case(shared_models(shared_data).resnet20, lambda n: torch.randn(n, 3, 32, 32), 10)
    study = _search(
        case.make(), case, {"type:conv2d": {"weight": ["int8c", "int4c"], "input": ["uint8", "int4"]}}
    )
    assert len(study.trials) >= 20


def test_ties_of_a_language_model_hold_in_every_trial():
    case = CASES["language_model"]
    rule = {"weight": ["int8c", "int4c"], "input": ["int8", "int4"], "ties": ["qkv", "gate_up"]}
    study = _search(case.make(), case, {"type:linear": rule})
    for trial in study.trials[1:]:
        for layers in (("attention.q", "attention.k", "attention.v"), ("gate", "up")):
            for role in ("weight", "input"):
                assert len({trial.assignment[f"{layer}:{role}"] for layer in layers}) == 1
    assert len({tuple(trial.assignment.items()) for trial in study.trials}) == len(study.trials)
