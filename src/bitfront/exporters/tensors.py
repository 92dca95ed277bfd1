"""A folder that plain PyTorch runs: packed codes and scales, and the program that reads them.

`weights.safetensors` holds what is stored, `program.pt2` (torch.export) what is computed, the quantizers of
inputs among it, and `export.json` what the codes mean. No code of the model's author is needed to run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.export import ExportedProgram

from bitfront.archives import check_archive
from bitfront.errors import FormatError, ModelError, reason_of
from bitfront.exporters.base import Exporter, Subject
from bitfront.exporters.packed import Packed, pack_tensor, unpack_tensor
from bitfront.exporters.seal import open_folder, seal_folder
from bitfront.exporters.traced import stored_slots, trace
from bitfront.files import write_bytes_whole
from bitfront.formats import Axes

WEIGHTS, PROGRAM = "weights.safetensors", "program.pt2"


def pack_candidate(subject: Subject) -> dict[str, Packed]:
    """Every stored tensor that the program reads, by its path in the model."""
    formats, plan = subject.formats(), subject.plan
    sites = {slot: site for site, slot in plan.weight_slots.items() if site in formats}
    packed: dict[str, Packed] = {}
    for path, slot in stored_slots(plan).items():
        site = sites.get(slot)
        if site is None:
            packed[path] = pack_tensor(plan.stored[slot], None, Axes())
        else:
            packed[path] = pack_tensor(plan.stored[slot], formats[site], subject.axes(site))
    return packed


def _unsupported(subject: Subject) -> dict[str, str]:
    found: dict[str, str] = {}
    for site, chosen in subject.formats().items():
        if site in subject.plan.weight_slots:
            try:
                pack_tensor(subject.weight(site), chosen, subject.axes(site))
            except FormatError as error:
                found[site] = str(error)
    return found


def _write(subject: Subject, folder: Path) -> list[str]:
    packed = pack_candidate(subject)
    folder.mkdir(parents=True)
    tensors = {_name(path, part): t for path, p in packed.items() for part, t in p.tensors.items()}
    write_bytes_whole(folder / WEIGHTS, save(tensors))
    stored = {path: unpack_tensor(each) for path, each in packed.items()}
    write_bytes_whole(folder / PROGRAM, _small(trace(subject, stored)))
    document = {
        "exporter": "safetensors",
        "version": 1,
        "trial": subject.trial,
        "assignment": dict(subject.assignment),
        "inputs": list(subject.plan.input_names),
        "tensors": {path: each.description for path, each in packed.items()},
    }
    seal_folder(folder, document)
    return []


def _small(program: ExportedProgram) -> bytes:
    """The archive of a program, deflated: torch leaves its text, which is most of it, as it is."""
    plain, small = BytesIO(), BytesIO()
    torch.export.save(program, plain)
    with ZipFile(plain) as read, ZipFile(small, "w", ZIP_DEFLATED) as written:
        for name in read.namelist():
            info = ZipInfo(name)  # with a fixed date, so that equal candidates are equal files
            info.compress_type = ZIP_DEFLATED
            written.writestr(info, read.read(name))
    return small.getvalue()


def _name(path: str, part: str) -> str:
    return f"{path}.{part}" if part else path


class Exported(nn.Module):
    """What `load` gives: the stored tensors, unpacked, and the program that reads them."""

    def __init__(self, program: nn.Module, stored: Mapping[str, Tensor], names: tuple[str, ...]) -> None:
        super().__init__()
        self.input_names = names
        self._program = program
        self._stored = dict(stored)

    def forward(self, *inputs: Any, **named: Tensor) -> Tensor:
        """The output for a batch of inputs (batch, …), in order or by name."""
        if self.input_names and inputs and isinstance(inputs[0], Mapping):
            named = dict(inputs[0])
        if named:
            inputs = tuple(named[name] for name in self.input_names)
        with torch.no_grad():
            return self._program(list(inputs), self._stored)


def load(folder: str | Path) -> Exported:
    """The module of a folder that `bitfront export --to safetensors` wrote; nothing in it is unpickled.

    Its outputs are those of the candidate in the search, bit for bit on the same machine and version of torch.

    Raises:
        ModelError: it is no such export, or a file of it is missing, truncated or edited.
    """
    folder = Path(folder)
    document = open_folder(folder)
    check_archive(folder / PROGRAM)
    try:
        tensors = load_file(folder / WEIGHTS)
        stored = {path: _unpacked(path, each, tensors) for path, each in document["tensors"].items()}
        program = torch.export.load(folder / PROGRAM).module(check_guards=False)
        return Exported(program, stored, tuple(document["inputs"]))
    except (SafetensorError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"The export '{folder}' can't be read: {reason_of(error)}.") from error


def _unpacked(path: str, described: dict[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    if described["type"] == "plain":
        # A copy: in a file tensors begin at odd addresses, where products add up in another order.
        return unpack_tensor(Packed(described, {"": tensors[path].clone()}))
    parts = ("codes", "scale", "tensor_scale", "zero_point", "inner")
    found = {part: tensors[_name(path, part)] for part in parts if _name(path, part) in tensors}
    return unpack_tensor(Packed(described, found))


def _run(folder: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    return load(folder)(*inputs)


safetensors = Exporter(_write, _unsupported, _run, limit=0.0, folder=True)
