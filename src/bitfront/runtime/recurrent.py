"""Recurrent layers as steps of a plan: what their stored matrices are multiplied with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_aten = torch.ops.aten
RECURRENT = frozenset[Any]({_aten.lstm.input, _aten.gru.input, _aten.rnn_tanh.input, _aten.rnn_relu.input})
STORED = 2  # the place of the list of stored tensors among their arguments
DROPOUT = 5  # that of the dropout; whether they train comes next


def multiplied_rows(arguments: Sequence[Any], outputs: Tensor) -> Mapping[int, Tensor]:
    """What stored matrices meet over all steps and sequences: (rows, columns of the matrix), by place in the list.

    The first layer's input matrices meet the input, and the last layer's recurrent ones the outputs of the step
    before; of the layers between, nothing can be seen from outside.

    Args:
        arguments: of the step, by position.
        outputs: of the last layer in every step, (length, batch, directions · features) or with the batch first.
    """
    values, states, stored, _, layers, _, _, both, batch_first = arguments
    directions = 2 if both else 1
    listed = len(stored) // (layers * directions)
    first = states[0] if isinstance(states, (list, tuple)) else states  # of an LSTM: hidden and cell states
    if batch_first:
        values, outputs = values.transpose(0, 1), outputs.transpose(0, 1)
    found: dict[int, Tensor] = {}
    for direction, hidden in enumerate(outputs.chunk(directions, dim=-1)):
        last = (layers - 1) * directions + direction
        start = first[last][None]
        before = torch.cat([hidden[1:], start]) if direction else torch.cat([start, hidden[:-1]])
        found[direction * listed] = values.flatten(0, 1)
        found[last * listed + 1] = before.flatten(0, 1)
    return found
