"""JSC-tiny at batch 8, written by hand: batch norm 16, ReLU, linear 16-5, ReLU."""

from types import MappingProxyType

import pytest

from bitfront.graph.model import Graph, Operation, Parameter, Site, Value

WIDE, NARROW = (8, 16), (8, 5)


def _norm() -> tuple[Operation, tuple[Site, ...]]:
    name = "seq_blocks.0"
    roles = {"weight": True, "bias": True, "running_mean": False, "running_var": False}
    parameters = tuple(Parameter(f"{name}.{role}", role, (16,), 32, kept) for role, kept in roles.items())
    operation = Operation(
        name,
        "batch_norm",
        "searchable",
        (Value("x", WIDE),),
        (Value("batch_norm", WIDE),),
        parameters,
        MappingProxyType({"input": f"{name}:input", "weight": f"{name}:weight", "bias": f"{name}:bias"}),
        flops=4 * 128,
        backward_flops=4 * 128,
    )
    sites = (
        Site(name, "input", "x", WIDE, None, (1,)),
        Site(name, "weight", f"{name}.weight", (16,), None, (0,)),
        Site(name, "bias", f"{name}.bias", (16,), None, (0,)),
    )
    return operation, sites


def _relu(name: str, read: Value, written: Value) -> tuple[Operation, tuple[Site, ...]]:
    operation = Operation(
        name,
        "relu",
        "searchable",
        (read,),
        (written,),
        (),
        MappingProxyType({"input": f"{name}:input"}),
        flops=read.elements,
        backward_flops=read.elements,
    )
    return operation, (Site(name, "input", read.name, read.shape),)


def _linear() -> tuple[Operation, tuple[Site, ...]]:
    name = "seq_blocks.2"
    operation = Operation(
        name,
        "linear",
        "searchable",
        (Value("relu", WIDE),),
        (Value("linear", NARROW),),
        (Parameter(f"{name}.weight", "weight", (5, 16)), Parameter(f"{name}.bias", "bias", (5,))),
        MappingProxyType({"input": f"{name}:input", "weight": f"{name}:weight", "bias": f"{name}:bias"}),
        macs=640,
        fan_in=16,
    )
    sites = (
        Site(name, "input", "relu", WIDE),
        Site(name, "weight", f"{name}.weight", (5, 16), 0, (1,)),
        Site(name, "bias", f"{name}.bias", (5,), None, (0,)),
    )
    return operation, sites


@pytest.fixture(scope="session")
def jsc_tiny() -> Graph:
    steps = (
        _norm(),
        _relu("seq_blocks.1", Value("batch_norm", WIDE), Value("relu", WIDE)),
        _linear(),
        _relu("seq_blocks.3", Value("linear", NARROW), Value("relu_1", NARROW)),
    )
    operations = tuple(operation for operation, _ in steps)
    return Graph(
        "jsc_tiny",
        8,
        operations,
        tuple(site for _, sites in steps for site in sites),
        tuple(parameter for operation in operations for parameter in operation.parameters),
        (Value("x", WIDE),),
        (Value("relu_1", NARROW),),
    )
