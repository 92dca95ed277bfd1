"""Data: what a candidate is judged on, as tensors that stay on the device."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import Dataset, default_collate

from bitfront.errors import DataError, reason_of, suggest

SPLITS = ("calibration", "search", "test")


@dataclass(frozen=True)
class Examples:
    """Inputs of shape (examples, …), targets of shape (examples, …); no targets where there are no labels.

    `names` are those of the inputs, where they were given by name.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor | None
    names: tuple[str, ...] = ()

    @property
    def given(self) -> tuple[Tensor, ...] | dict[str, Tensor]:
        """The inputs as they were given: in order, or by name."""
        return dict(zip(self.names, self.inputs, strict=True)) if self.names else self.inputs

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, and targets where there are any."""
        return self.inputs if self.targets is None else (*self.inputs, self.targets)

    def __len__(self) -> int:
        return self.inputs[0].shape[0]

    def __getitem__(self, part: slice) -> Examples:
        targets = None if self.targets is None else self.targets[part]
        return Examples(tuple(tensor[part] for tensor in self.inputs), targets, self.names)

    def take(self, places: Tensor) -> Examples:
        """The examples at these places, in their order."""
        targets = None if self.targets is None else self.targets[places]
        return Examples(tuple(tensor[places] for tensor in self.inputs), targets, self.names)

    def batches(self, size: int) -> Iterator[Examples]:
        """Consecutive parts of `size` examples, the last one shorter."""
        if size < 1:
            raise DataError(f"1 <= batch size must hold, but got {size}.")
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device."""
        targets = None if self.targets is None else self.targets.to(device)
        return Examples(tuple(tensor.to(device) for tensor in self.inputs), targets, self.names)


@dataclass(frozen=True)
class Splits:
    """Calibration sets input scales, search judges candidates, test judges the front alone."""

    calibration: Examples
    search: Examples
    test: Examples | None

    def to(self, device: torch.device) -> Splits:
        """The same splits on a device."""
        test = None if self.test is None else self.test.to(device)
        return Splits(self.calibration.to(device), self.search.to(device), test)


def splits(made: Any, counts: Mapping[str, int | None]) -> Splits:
    """From what a data factory returned: a mapping or an object with the splits by name.

    A split is a torch Dataset, a pair (inputs, targets), or inputs alone; inputs are a tensor, a tuple of
    tensors, or tensors by name. `counts` limits a split to its first examples.

    Raises:
        DataError: a split is missing, empty, too small for its count, or not of that form.
    """
    found: dict[str, Examples] = {}
    for name in SPLITS:
        value = _named(made, name)
        if value is None:
            if name == "test":
                continue
            raise DataError(f"The data factory returns no '{name}' split ({_offered(made, name)}).")
        found[name] = _counted(name, as_examples(name, value), counts.get(name))
    return Splits(found["calibration"], found["search"], found.get("test"))


def _named(made: Any, name: str) -> Any:
    """A split of what a factory returned, None where it has no such one."""
    try:
        return made.get(name) if isinstance(made, Mapping) else getattr(made, name, None)
    except (Exception, SystemExit) as error:  # other people's code
        raise DataError(f"The '{name}' split can't be had: {reason_of(error)}.") from error


def _offered(made: Any, name: str) -> str:
    """What there is instead of a split."""
    names = made if isinstance(made, Mapping) else [n for n in getattr(made, "__dict__", ()) if n[0] != "_"]
    return suggest(name, map(str, names)) if names else f"it returns {type(made).__name__}"


def _counted(name: str, examples: Examples, count: int | None) -> Examples:
    if len(examples) == 0:
        raise DataError(f"The '{name}' split is empty.")
    if count is not None and count > len(examples):
        raise DataError(f"{name} = {count} examples were asked for, but the split has {len(examples)}.")
    examples = examples[:count] if count is not None else examples
    for tensor in (*examples.inputs, *([] if examples.targets is None else [examples.targets])):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"The '{name}' split holds NaN or infinity.")
    return examples


def as_examples(name: str, value: Any) -> Examples:
    """A split from what a factory gave for it; DataError where it has another form."""
    if isinstance(value, Examples):
        return value
    if isinstance(value, Dataset):
        value = _collated(name, value)
    if isinstance(value, (Tensor, Mapping)):
        value = (value, None)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise DataError(
            f"The '{name}' split must be a Dataset, a pair (inputs, targets), a tensor of inputs "
            f"or inputs by name, but is {type(value).__name__}."
        )
    inputs, targets = value
    names = tuple(map(str, inputs)) if isinstance(inputs, Mapping) else ()
    inputs = tuple(inputs.values()) if isinstance(inputs, Mapping) else inputs
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    tensors = (*inputs, *([] if targets is None else [targets]))
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise DataError(f"The '{name}' split must hold tensors, but holds {type(tensor).__name__}.")
        if kind := _odd_kind(tensor):
            raise DataError(f"The '{name}' split must hold ordinary tensors, but one is {kind}.")
    if not inputs or not all(tensor.dim() for tensor in tensors):
        raise DataError(f"The '{name}' split must hold tensors of shape (examples, …).")
    lengths = {len(tensor) for tensor in tensors}
    if len(lengths) != 1:
        raise DataError(
            f"Inputs and targets of the '{name}' split have different lengths: {sorted(lengths)}."
        )
    return Examples(inputs, targets, names)


def _odd_kind(tensor: Tensor) -> str:
    """What a tensor is that can't be cut into batches, or that no metric looks at; else ""."""
    kinds = {
        "nested": tensor.is_nested,
        "sparse": tensor.layout != torch.strided,
        "quantized": tensor.is_quantized,
        "without values": tensor.is_meta,
        "complex": tensor.is_complex(),
    }
    return next((kind for kind, found in kinds.items() if found), "")


def _collated(name: str, dataset: Dataset[Any]) -> Any:
    """All examples of a dataset together, as a DataLoader would give them."""
    try:
        count = len(dataset)  # pyright: ignore[reportArgumentType]
        if count > 0:
            _check_memory(dataset[0], count)
        items = [dataset[index] for index in range(count)]
        return default_collate(items) if items else torch.empty(0)
    except (Exception, SystemExit) as error:  # whatever the user's dataset raises; and what can't be stacked
        raise DataError(
            f"The '{name}' split is a {type(dataset).__name__} whose examples can't be put together: "
            f"{reason_of(error)}."
        ) from error


def _check_memory(example: Any, count: int) -> None:
    """MemoryError where so many examples like this one can't be kept at once."""
    size = sum(leaf.nbytes for leaf in pytree.tree_leaves(example) if isinstance(leaf, Tensor))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if count * max(size, 1) > memory:
        raise MemoryError(
            f"{count:,} examples of {size:,} bytes are more than the {memory:,} bytes of memory"
        )
