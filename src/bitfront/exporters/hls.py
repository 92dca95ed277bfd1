"""An hls4ml project: C++ for FPGAs, whose C simulation is compiled by g++ and compared.

Source: Duarte et al. 2018, "Fast inference of deep neural networks in FPGAs for particle physics",
arXiv:1804.06913; hls4ml 1.3, converters/onnx_to_hls.py for what it takes.
"""

from __future__ import annotations

import ctypes
import logging
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from bitfront.errors import BitfrontError, InputError, ModelError, reason_of
from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.qonnx import exported
from bitfront.exporters.qonnx import unsupported as unsupported_by_quant
from bitfront.exporters.qonnx_graph import QonnxGraph
from bitfront.exporters.quant_function import DOMAIN, VERSION
from bitfront.exporters.seal import open_folder, seal_folder
from bitfront.exporters.sealed_onnx import IR_VERSION

PROJECT = "candidate"
MODEL = "model.onnx"
# What isn't narrowed by hls4ml itself: scales per channel, parameters of norms, the network's inputs.
PRECISION = "fixed<48,20>"
_OPERATIONS = {"linear", "relu", "batch_norm", "sigmoid", "tanh", "flatten", "dropout"}


def unsupported(subject: Subject) -> Mapping[str, str]:
    """Why sites can't be expressed, by name; InputError where hls4ml or g++ is missing."""
    _check_installed()
    found = dict(unsupported_by_quant(subject))
    for site, chosen in subject.formats().items():
        if site not in found and chosen.name.startswith("uint"):
            found[site] = "a zero point"
    others = [o for o in subject.program.graph.operations if o.op not in _OPERATIONS]
    if others and subject.assignment:
        named = next((o for o in others if o.macs or o.flops), others[0])  # rather than what only moves data
        why = f"the network has {named.op}, and this export takes linear layers, norms and activations"
        found.setdefault(next(iter(subject.assignment)), why)
    return found


def _check_installed() -> None:
    missing = [name for name in ("hls4ml", "qonnx") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The hls4ml export needs {' and '.join(missing)}: install bitfront[hls] (pip install "
            "'bitfront[hls]')."
        )
    if shutil.which("g++") is None:
        raise InputError(
            "The hls4ml export compiles its C simulation to compare it, and there is no g++ here: install a C++ "
            "compiler, or export on a machine that has one."
        )


def _write(subject: Subject, folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    _save_clean(subject, folder / MODEL)
    _convert(folder)
    document = {
        "exporter": "hls4ml",
        "version": 1,
        "trial": subject.trial,
        "assignment": dict(subject.assignment),
        "output": list(subject.outputs().shape[1:]),
    }
    seal_folder(folder, document)
    return ["Reuse factors, part and clock are hls4ml's defaults; change them in its project, not here."]


def _save_clean(subject: Subject, path: Path) -> None:
    """The QONNX model as hls4ml wants it: for one example, shapes inferred, biases as numbers."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.cleanup import cleanup_model

    model = exported(QonnxGraph(subject, plain_biases=True), subject)
    model.ir_version = IR_VERSION
    if DOMAIN not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    try:
        with _silent(), _readable_versions():
            cleanup_model(ModelWrapper(model)).save(str(path))
    except Exception as error:  # qonnx raises plain exceptions, and those of the runtime it folds with
        raise ModelError(f"qonnx can't simplify the model for hls4ml: {reason_of(error)}.") from error


def _convert(folder: Path) -> None:
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper

    try:
        with _silent():
            model = str(folder / MODEL)
            settings = hls4ml.utils.config_from_onnx_model(
                ModelWrapper(model), granularity="name", backend="Vitis", default_precision=PRECISION
            )
            made = hls4ml.converters.convert_from_onnx_model(
                model,
                output_dir=str(folder),
                project_name=PROJECT,
                io_type="io_parallel",
                backend="Vitis",
                hls_config=settings,
            )
            made.write()
    except Exception as error:  # hls4ml raises plain exceptions for what it doesn't take
        raise ModelError(f"hls4ml doesn't take the model: {reason_of(error)}.") from error
    settings_file = folder / "hls4ml_config.yml"
    settings_file.write_text(settings_file.read_text().replace(str(folder), "."))  # the folder may move


@contextmanager
def _readable_versions() -> Iterator[None]:
    """qonnx makes models of ONNX's newest version, which may be too new for its runtime."""
    before = onnx.IR_VERSION
    onnx.IR_VERSION = IR_VERSION
    try:
        yield
    finally:
        onnx.IR_VERSION = before


@contextmanager
def _silent() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _run(folder: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the C simulation gives, compiled from a copy: the export itself isn't changed."""
    document = open_folder(folder)
    _check_installed()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "project"
        shutil.copytree(folder, copy)
        done = subprocess.run(["bash", "build_lib.sh"], cwd=copy, capture_output=True, text=True, check=False)
        libraries = list((copy / "firmware").glob("*.so"))
        if done.returncode or not libraries:
            said = " ".join(done.stderr.strip().splitlines()[:2])
            raise BitfrontError(f"g++ can't compile the C simulation in '{folder}': {said}")
        return _simulate(ctypes.CDLL(str(libraries[0])), inputs, document["output"])


def _simulate(library: Any, inputs: tuple[Tensor, ...], shape: list[int]) -> Tensor:
    """One example after the other; the simulation takes and gives arrays of float32."""
    function = getattr(library, f"{PROJECT}_float")
    function.restype = None
    outputs = torch.empty(len(inputs[0]), *shape)
    pointer = ctypes.POINTER(ctypes.c_float)
    for number in range(len(inputs[0])):
        given = [np.ascontiguousarray(tensor[number].numpy(), dtype=np.float32) for tensor in inputs]
        found = np.empty(shape, np.float32)
        function(*(array.ctypes.data_as(pointer) for array in (*given, found)))
        outputs[number] = torch.from_numpy(found)
    return outputs


hls4ml = Exporter(_write, unsupported, _run, limit=0.01, folder=True)
