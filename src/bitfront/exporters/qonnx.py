"""QONNX: `Quant` nodes of 2 to 16 bits, in a file that ONNX Runtime runs too."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from bitfront.errors import ModelError, reason_of
from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.qonnx_graph import QonnxGraph
from bitfront.exporters.quant_function import DOMAIN, VERSION, quant_function
from bitfront.exporters.sealed_onnx import facts, run_in_onnxruntime, save_sealed
from bitfront.formats import Format
from bitfront.formats.element import Integer
from bitfront.formats.granularity import Grouped
from bitfront.formats.scale import Constant
from bitfront.latency.skeleton import check_onnx_has

OPSET = 21


def reason_against(chosen: Format, stored: bool) -> str:
    """Why `Quant` can't express a format; nothing where it can."""
    if not isinstance(chosen.element, Integer):
        return "not whole numbers"
    if not 2 <= chosen.element.bits <= 16:
        return f"{chosen.element.bits} bits, and Quant has 2 to 16 here"
    if isinstance(chosen.granularity, Grouped):
        return "a scale per group"
    if not stored and not isinstance(chosen.scale, Constant):
        return "a scale found at run time"
    return ""


def unsupported(subject: Subject) -> Mapping[str, str]:
    """Why sites can't be expressed, by name."""
    found = {
        site: reason_against(chosen, site in subject.plan.weight_slots)
        for site, chosen in subject.formats().items()
    }
    return {site: reason for site, reason in found.items() if reason}


def qonnx_model(subject: Subject) -> onnx.ModelProto:
    """The model, with `Quant` attached as a function."""
    model = exported(QonnxGraph(subject), subject)
    model.functions.append(quant_function(OPSET))
    domains = {entry.domain for entry in model.opset_import}
    if DOMAIN not in domains:
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
    return model


def exported(module: nn.Module, subject: Subject) -> onnx.ModelProto:
    """A module as ONNX, for any batch size; ModelError where torch can't export it."""
    check_onnx_has(subject.program.graph)
    rows = subject.examples[:2].inputs
    inputs = tuple(t if len(t) > 1 else t.repeat_interleave(2, 0) for t in rows)
    names = list(subject.plan.input_names) or [f"input_{n}" for n in range(len(inputs))]
    shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs)
    try:
        with _silent():
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=["output"],
                dynamic_shapes=(shapes,),  # forward takes *inputs
            )
    except Exception as error:  # whatever torch's exporter raises
        raise ModelError(f"The model can't be exported to ONNX: {reason_of(error)}.") from error
    assert program is not None
    return _bare(program.model_proto)


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what torch notes down of its own program, which is more than a small model."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return model


@contextmanager
def _silent() -> Iterator[None]:
    """Without what torch prints and logs on its way."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write(subject: Subject, path: Path) -> list[str]:
    save_sealed(qonnx_model(subject), path, facts("qonnx", subject.trial))
    return [
        "Whole numbers are stored as float32, as is usual in QONNX: the file is about as large as the float one."
    ]


def _run(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    return run_in_onnxruntime(path, inputs)


qonnx = Exporter(_write, unsupported, _run, limit=0.01)
