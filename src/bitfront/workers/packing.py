"""Python objects as one stretch of bytes whose tensors are used where they lie, without being copied.

Tensors and arrays are written as they are in memory; the rest is pickled (protocol 5, PEP 574). A process that
maps the bytes gets tensors over them, so that many processes share one copy.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bitfront.errors import BitfrontError

_ALIGNED = 64  # bytes: what torch gives its own tensors, and kernels may go other ways where it isn't kept
_COUNT = struct.Struct("<Q")
_PLACE = struct.Struct("<QQ")


class PackingError(BitfrontError):
    """Something can't be given to another process."""


def write(value: Any, file: BinaryIO) -> int:
    """Write an object into an empty file; returns how many bytes that took.

    Raises:
        PackingError: some part of it can't be given to another process.
    """
    buffers: list[memoryview] = []
    body = BytesIO()
    try:
        _Pickler(body, buffers).dump(value)
    except PackingError:
        raise
    except Exception as error:  # pickle lets through whatever an object's own methods raise
        raise PackingError(f"{type(error).__name__}: {error}") from error
    pieces = [memoryview(body.getvalue()), *buffers]
    places: list[tuple[int, int]] = []
    end = _COUNT.size + _PLACE.size * len(pieces)
    for piece in pieces:
        start = -(-end // _ALIGNED) * _ALIGNED
        places.append((start, piece.nbytes))
        end = start + piece.nbytes
    file.write(_COUNT.pack(len(pieces)))
    file.write(b"".join(_PLACE.pack(*place) for place in places))
    for (start, _), piece in zip(places, pieces, strict=True):
        file.write(bytes(start - file.tell()))
        file.write(piece)
    file.flush()
    return end


def read(data: memoryview) -> Any:
    """The object of bytes that `write` wrote. Its tensors lie in them, and mustn't be changed.

    Only for bytes that this program wrote itself: they are unpickled.
    """
    view = data.toreadonly()
    (count,) = _COUNT.unpack_from(view)
    places = [_PLACE.unpack_from(view, _COUNT.size + _PLACE.size * number) for number in range(count)]
    body, *buffers = (view[start : start + size] for start, size in places)
    return pickle.loads(body, buffers=buffers)


class _Pickler(pickle.Pickler):
    """Leaves arrays and the storages of tensors to the buffers, each once; names operators."""

    def __init__(self, file: BinaryIO, buffers: list[memoryview]) -> None:
        super().__init__(file, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
        self._storages: dict[int, NDArray[np.uint8]] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return self._tensor(obj)
        if isinstance(obj, torch._ops.OpOverload):
            return _operator, (obj._schema.name, obj._overloadname)
        return NotImplemented

    def _tensor(self, tensor: Tensor) -> Any:
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided or tensor.is_quantized:
            raise PackingError(
                f"a {tensor.layout} tensor on {tensor.device} can't be shared between processes"
            )
        tensor = tensor.detach()
        if tensor.storage_offset() == 0 and tensor.is_contiguous():
            tensor = _alone(tensor)
        storage = tensor.untyped_storage()
        whole = self._storages.get(storage.data_ptr())
        if whole is None:
            flat = torch.empty(0, dtype=torch.uint8).set_(storage, 0, (storage.nbytes(),), (1,))
            whole = self._storages[storage.data_ptr()] = flat.numpy()
        return _tensor, (whole, tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())


def _alone(tensor: Tensor) -> Tensor:
    """The first examples of a long split, without the others."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


def _tensor(
    whole: NDArray[np.uint8], dtype: torch.dtype, offset: int, shape: Iterable[int], stride: Iterable[int]
) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the array is read-only, which is as it should be
        storage = torch.from_numpy(whole).untyped_storage()
    return torch.empty(0, dtype=dtype).set_(storage, offset, tuple(shape), tuple(stride))


def _operator(name: str, overload: str) -> Any:
    """An operator of torch by its name, such as aten::linear."""
    namespace, _, operator = name.partition("::")
    try:
        return getattr(getattr(getattr(torch.ops, namespace), operator), overload or "default")
    except AttributeError:
        raise PackingError(
            f"the operator {name} isn't one of torch's own, and nothing registers it in another process"
        ) from None
