"""Models: their weights from safetensors, and a forward that gives logits and nothing else."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from bitfront.errors import ModelError
from bitfront.hf.library import fetch, transformers


def causal_lm(name: str, revision: str = "main") -> nn.Module:
    """A language model: token ids (batch, positions) -> logits (batch, positions, vocabulary).

    `name` is a folder, as `save_pretrained` writes it, or a hub id such as "gpt2". Layers have the names that
    they have in the library (`model.layers.0.self_attn.q_proj`). There is no attention mask: every position
    sees itself and those before, so that padding on the right changes nothing before it.
    """
    model = _loaded("AutoModelForCausalLM", name, revision, "language model")
    return _with_forward(model, _next_tokens)


def sequence_classifier(name: str, revision: str = "main") -> nn.Module:
    """A classifier of texts: token ids and attention mask (batch, positions) -> logits (batch, classes).

    `name` is a folder, as `save_pretrained` writes it, or a hub id; the classifying head must be trained,
    that is, be among the weights.
    """
    model = _loaded("AutoModelForSequenceClassification", name, revision, "classifier of texts")
    return _with_forward(model, _classes)


def _loaded(kind: str, name: str, revision: str, what: str) -> Any:
    loader = getattr(transformers(ModelError), kind).from_pretrained
    model, found = fetch(
        loader,
        name,
        what,
        ModelError,
        revision=revision,
        use_safetensors=True,
        weights_only=True,
        dtype=torch.float32,  # half of it would be judged against a baseline of another precision
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    if found["missing_keys"] or found.get("mismatched_keys"):
        lacking = sorted(map(str, [*found["missing_keys"], *found.get("mismatched_keys", ())]))
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ModelError(
            f"'{name}' is no trained {what}: its weights lack {', '.join(lacking[:3])}{more}, or have them "
            "in another shape. Without them these layers would be random."
        )
    return model.eval()


def _with_forward(model: Any, forward: Any) -> nn.Module:
    """The model with another `forward`, in place: a module around it would lengthen every layer's name."""
    model.config.use_cache = False
    model.forward = MethodType(forward, model)
    return model


def _next_tokens(self: Any, input_ids: Tensor) -> Tensor:
    _check_length(self.config, input_ids)
    return type(self).forward(self, input_ids=input_ids, use_cache=False, return_dict=True).logits


def _classes(self: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    _check_length(self.config, input_ids)
    made = type(self).forward(self, input_ids=input_ids, attention_mask=attention_mask, return_dict=True)
    return made.logits


def _check_length(config: Any, input_ids: Tensor) -> None:
    """Positions beyond the model's last one would be read outside of its table, or be untrained."""
    longest = getattr(config, "max_position_embeddings", None)
    if longest is not None and input_ids.shape[1] > longest:
        raise ModelError(
            f"the model takes {longest} positions, but the sequences have {input_ids.shape[1]}; give a "
            "smaller length under data.arguments"
        )
