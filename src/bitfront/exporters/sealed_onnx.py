"""ONNX files that carry the hash of themselves, and running one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from bitfront.errors import ModelError, reason_of
from bitfront.exporters.seal import damaged
from bitfront.files import write_bytes_whole

_KEY = "bitfront.sha256"
IR_VERSION = 10  # what runtimes of the last years read


def save_sealed(model: onnx.ModelProto, path: Path, facts: dict[str, str]) -> None:
    """Write a model with some facts and its hash among its metadata.

    Raises:
        ModelError: it is larger than the 2 GiB that one file of protobuf holds.
    """
    model.ir_version = IR_VERSION
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, facts)
    model.metadata_props.add(key=_KEY, value=_hash(model))
    try:
        write_bytes_whole(path, model.SerializeToString(deterministic=True))
    except ValueError as error:
        raise ModelError(f"The model is too large for one ONNX file: {reason_of(error)}.") from error


def open_sealed(path: Path) -> bytes:
    """The bytes of a model; ModelError where it was truncated or edited."""
    data = path.read_bytes()
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's own, of which there are several implementations
        raise damaged(path, "it is no ONNX model") from error
    sealed = [entry.value for entry in model.metadata_props if entry.key == _KEY]
    if sealed != [_hash(model)]:
        raise damaged(path, "it doesn't have the hash that it was sealed with")
    return data


def _hash(model: onnx.ModelProto) -> str:
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    for entry in model.metadata_props:
        if entry.key != _KEY:
            bare.metadata_props.add(key=entry.key, value=entry.value)
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def run_in_onnxruntime(path: Path, inputs: tuple[Tensor, ...], **config: str) -> Tensor:
    """What ONNX Runtime gives on one thread of the CPU, for inputs in the order of the model's.

    Source of the `config` entries: onnxruntime_session_options_config_keys.h.
    """
    import onnxruntime

    data = open_sealed(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    (output,) = session.run(None, given)
    return torch.from_numpy(np.asarray(output))


def facts(exporter: str, trial: int | str) -> dict[str, str]:
    """What every exported model says of itself."""
    return {"bitfront.exporter": exporter, "bitfront.trial": str(trial)}
