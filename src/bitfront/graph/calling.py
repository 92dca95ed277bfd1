"""How a model is called, and what it returns: positions, names, mappings and dataclasses."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from bitfront.errors import ModelError, suggest

Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True)
class Calling:
    """The arguments of one call of a model. Tensors in `args` or `keywords` may lie in one mapping."""

    args: tuple[Any, ...]
    keywords: dict[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors as they were given."""
        return pytree.tree_leaves((self.args, self.keywords))


def calling(model: nn.Module, inputs: Inputs) -> Calling:
    """Inputs by name go to arguments of these names, or else all together to the first argument.

    Raises:
        ModelError: forward takes no arguments of these names.
    """
    if isinstance(inputs, Tensor):
        return Calling((inputs,), {})
    if not isinstance(inputs, Mapping):
        return Calling(tuple(inputs), {})
    keywords = dict(inputs)
    signature = inspect.signature(model.forward)
    if _binds(signature, (), keywords):
        return Calling((), keywords)
    if _binds(signature, (keywords,), {}):
        return Calling((keywords,), {})
    taken = ", ".join(name for name in signature.parameters)
    raise ModelError(
        f"The inputs are named {', '.join(inputs)}, but forward of {type(model).__name__} takes ({taken})."
    )


def _binds(signature: inspect.Signature, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **keywords)
    except TypeError:
        return False
    return True


def returns_plain(model: nn.Module) -> None:
    """Make a model return tensors in tuples, lists and mappings alone, whatever classes it has for them."""
    model.register_forward_hook(lambda module, inputs, output: _plain(output))


def _plain(output: Any) -> Any:
    """Dataclasses and named tuples become mappings; what holds no tensor in sight (a cache) is left out."""
    if isinstance(output, Mapping):
        return {str(name): _plain(value) for name, value in output.items()}
    if is_dataclass(output) and not isinstance(output, type):
        return {field.name: _plain(getattr(output, field.name)) for field in fields(output)}
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        return {name: _plain(value) for name, value in output._asdict().items()}  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(output, (tuple, list)):
        return type(output)(map(_plain, output))
    return output if isinstance(output, Tensor) else None


def entering(exported: ExportedProgram) -> tuple[str, ...]:
    """Nodes of the inputs, in the order in which a call names them."""
    return tuple(str(name) for name in exported.graph_signature.user_inputs)


def output_names(exported: ExportedProgram) -> tuple[str, ...]:
    """The names of the returned tensors in order; of one that is nested, joined by dots."""
    spec = exported.call_spec.out_spec
    (given,) = exported.graph.output_node().args
    assert spec is not None
    paths = pytree.tree_flatten_with_path(pytree.tree_unflatten(range(spec.num_leaves), spec))[0]
    leaves = pytree.tree_leaves(given, is_leaf=lambda leaf: isinstance(leaf, torch.fx.Node))
    named = [".".join(map(_key, path)) for path, _ in paths]
    return tuple(name for name, leaf in zip(named, leaves, strict=True) if _is_tensor(leaf))


def _key(key: Any) -> str:
    return str(key.key if isinstance(key, pytree.MappingKey) else key.idx)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.fx.Node) and isinstance(leaf.meta.get("val"), Tensor)


def output_number(names: Sequence[str], chosen: int | str | None) -> int:
    """Which of the returned tensors is judged; the only one, or that called logits, where none is chosen.

    Raises:
        ModelError: none is chosen of several, or one that isn't returned.
    """
    if isinstance(chosen, str):
        if chosen not in names:
            raise ModelError(f"The model returns no '{chosen}' ({suggest(chosen, names)}).")
        return list(names).index(chosen)
    if chosen is not None and not 0 <= chosen < len(names):
        raise ModelError(f"`output = {chosen}` under [model], but the model returns {len(names)} tensors.")
    if chosen is None and len(names) > 1:
        if "logits" in names:
            return list(names).index("logits")
        listed = "" if names[0].isdigit() else f", or by its name: {', '.join(names)}"
        raise ModelError(
            f"The model returns {len(names)} tensors; say which one is judged with "
            f"`output = 0` … `{len(names) - 1}` under [model]{listed}."
        )
    return chosen or 0


def chosen_output(returned: Any, chosen: int | str | None) -> Tensor:
    """Of what a model returned the tensor that is judged, chosen by its number or name.

    Raises:
        ModelError: none is chosen of several, or one that isn't returned.
    """
    if isinstance(returned, Tensor) and chosen is None:
        return returned
    tensors = [(path, leaf) for path, leaf in _leaves(returned) if isinstance(leaf, Tensor)]
    if not tensors:
        raise ModelError(f"The model returns no tensor, but {type(returned).__name__}.")
    return tensors[output_number([path for path, _ in tensors], chosen)][1]


def _leaves(returned: Any) -> list[tuple[str, Any]]:
    found = pytree.tree_flatten_with_path(_plain(returned))[0]
    return [(".".join(map(_key, path)), leaf) for path, leaf in found]
