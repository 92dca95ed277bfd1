"""A text as the splits on which a language model is judged."""

from __future__ import annotations

import torch
from torch import Tensor

from bitfront.errors import DataError
from bitfront.hf.splitting import FEWEST, check_length, parts, read_file
from bitfront.hf.tokens import token_ids

_PADDING = -100  # a target that counts nowhere; see bitfront.quality.language


def text(
    path: str, tokenizer: str, length: int = 128, revision: str = "main"
) -> dict[str, tuple[Tensor, Tensor]]:
    """A text file for a language model: token ids, and the same ids as targets (the metrics shift them).

    The file is cut into sequences of `length` tokens, in order and without overlap: the first fifth for
    calibration, two fifths for search, two for test. The last sequence is padded, with targets of -100 there.
    `tokenizer` is a folder or a hub id, mostly that of the model, or "bytes": the bytes of UTF-8, 0 to 255.
    """
    check_length(length, 2)
    ids = token_ids(read_file(path), tokenizer, revision)
    targets = torch.full((-(-len(ids) // length) * length,), _PADDING, dtype=torch.int64)
    targets[: len(ids)] = ids
    targets = targets.view(-1, length)
    targets = targets[(targets != _PADDING).sum(dim=1) > 1]  # one token alone has no next one
    if len(targets) < FEWEST:
        raise DataError(
            f"The text '{path}' gives {len(ids)} tokens, and with them {len(targets)} sequences of {length}; "
            f"at least {FEWEST} are needed. Give a longer text or a smaller length."
        )
    inputs = targets.clamp(min=0)  # what stands in place of padding is seen by no token before it
    return {name: (inputs[part], targets[part]) for name, part in parts(len(targets)).items()}
