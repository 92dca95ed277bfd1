"""From texts to token ids: by the tokenizer that belongs to a model, or byte by byte where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.hf.library import fetch, transformers

BYTES = "bytes"


@dataclass(frozen=True)
class Tokens:
    """Rows of equal length: token ids and which of them are no padding, both (texts, positions) as int64."""

    ids: Tensor
    mask: Tensor


def token_ids(text: str, tokenizer: str, revision: str) -> Tensor:
    """All of a text, (tokens,), without the marks of a beginning or an end."""
    if tokenizer == BYTES:
        return torch.tensor(list(text.encode()), dtype=torch.int64)
    found = _loaded(tokenizer, revision)(
        text, add_special_tokens=False, return_attention_mask=False, verbose=False
    )
    return torch.tensor(found["input_ids"], dtype=torch.int64)


def token_rows(texts: Sequence[str], tokenizer: str, revision: str, length: int) -> Tokens:
    """One row for each text, cut or padded on the right to `length`, with the marks that the model wants."""
    if tokenizer == BYTES:
        rows = [list(text.encode()[:length]) for text in texts]
        return _padded(rows, length, 0)
    loaded = _loaded(tokenizer, revision)
    if loaded.pad_token_id is None:
        raise DataError(
            f"The tokenizer '{tokenizer}' has no padding token, so texts can't be brought to one length. "
            "Save it with one, for example after tokenizer.pad_token = tokenizer.eos_token, and the model "
            "with the same config.pad_token_id."
        )
    rows = loaded(list(texts), truncation=True, max_length=length, return_attention_mask=False)["input_ids"]
    return _padded(rows, length, loaded.pad_token_id)


def _padded(rows: Sequence[Sequence[int]], length: int, padding: int) -> Tokens:
    ids = torch.full((len(rows), length), padding, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
        mask[index, : len(row)] = 1
    return Tokens(ids, mask)


def _loaded(name: str, revision: str) -> Any:
    return fetch(
        transformers(DataError).AutoTokenizer.from_pretrained, name, "tokenizer", DataError, revision=revision
    )
