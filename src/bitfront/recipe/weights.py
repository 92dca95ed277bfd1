"""Weights from files: safetensors, or .pt with weights_only; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bitfront.archives import check_unpacked
from bitfront.errors import ModelError, reason_of
from bitfront.files import is_file


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a .pt/.pth file read with weights_only=True."""
    if not is_file(path):
        raise ModelError(
            f"The weights '{path}' don't exist. `bitfront train` fits the model and writes them; or drop "
            "`weights` if the factory brings its own."
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        check_unpacked(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except (SafetensorError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise ModelError(f"'{path}' can't be read as weights: {reason_of(error)}.") from error
    except Exception as error:  # pickle errors: something else than tensors is in the file
        raise ModelError(
            f"'{path}' holds more than tensors and is not loaded, since unpickling it could run anything. "
            "Save model.state_dict(), best as safetensors."
        ) from error
    named = isinstance(state, Mapping) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"'{path}' is not a state dict (names to tensors).")
    return dict(state)


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the tensors of a file into a model; every name and shape must fit."""
    state = read_weights(path)
    wanted = model.state_dict()
    # Counters of training batches say nothing about inference, and older files lack them.
    missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in wanted]
    if missing or unexpected:
        parts = [f"lacks {_listed(missing)}"] if missing else []
        parts += [f"has {_listed(unexpected)}, unknown to the model"] if unexpected else []
        raise ModelError(f"The weights '{path}' don't fit the model: the file {' and '.join(parts)}.")
    for name, tensor in wanted.items():
        if name in state and state[name].shape != tensor.shape:
            raise ModelError(
                f"The weights '{path}' don't fit: {name} has shape {tuple(state[name].shape)}, the model "
                f"wants {tuple(tensor.shape)}."
            )
        if name in state and (kind := _odd_kind(state[name], tensor)):
            raise ModelError(
                f"The weights '{path}' don't fit: {name} is {kind}, the model wants an ordinary tensor of "
                f"{tensor.dtype}."
            )
    model.load_state_dict(state, strict=False)


def _odd_kind(found: Tensor, wanted: Tensor) -> str:
    """What a tensor is that can't be copied into another, or would lose what it says; else ""."""
    if found.is_meta:
        return "without values"
    if found.is_quantized or found.layout != torch.strided:
        return "quantized" if found.is_quantized else "sparse"
    kinds = (Tensor.is_floating_point, Tensor.is_complex)
    return "" if all(kind(found) == kind(wanted) for kind in kinds) else f"of {found.dtype}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def check_weights(model: nn.Module) -> None:
    """ModelError where a parameter or buffer holds NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"The weights of the model hold NaN or infinity in '{name}'.")
