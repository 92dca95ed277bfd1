"""The codes of a format on a line, for the terminal."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

WIDTH = 78
_FEW = 33  # so many codes are also written out
_HEIGHTS = "▁▂▃▄▅▆▇█"


def code_line(codes: Tensor) -> str:
    """A picture of ascending numbers, of at most 80 columns: a stroke each, or bars where they are many."""
    low, high = codes[0].item(), codes[-1].item()
    cells = ((codes - low) / (high - low) * (WIDTH - 1)).round().long()
    crowded = len(cells.unique()) < len(cells)
    zero = round(-low / (high - low) * (WIDTH - 1))
    axis = ["─"] * WIDTH
    axis[0], axis[-1] = "└", "┘"
    if 0 < zero < WIDTH - 1:
        axis[zero] = "┴"
    lines = [_bars(codes, cells) if crowded else _strokes(cells), "".join(axis), _labels(low, high, zero)]
    if crowded:
        lines.append("Bars: how close the codes are, on a logarithmic scale.")
    if len(codes) <= _FEW:
        lines.append(" ".join(f"{code:.4g}" for code in codes.tolist()))
    return "\n".join(lines)


def _strokes(cells: Tensor) -> str:
    taken = set(cells.tolist())
    return "".join("│" if cell in taken else " " for cell in range(WIDTH))


def _bars(codes: Tensor, cells: Tensor) -> str:
    """The height of a column is that of its closest pair of codes: those of integers are all equal."""
    gaps = codes.diff()
    nearest = torch.minimum(torch.cat([gaps[:1], gaps]), torch.cat([gaps, gaps[-1:]]))
    closest = torch.full((WIDTH,), float("inf"), dtype=codes.dtype).scatter_reduce(0, cells, nearest, "amin")
    widest, finest = nearest.max().item(), nearest.min().item()
    return "".join(" " if gap == float("inf") else _bar(gap, finest, widest) for gap in closest.tolist())


def _bar(gap: float, finest: float, widest: float) -> str:
    share = log(widest / gap) / log(widest / finest) if widest > finest else 1.0
    return _HEIGHTS[round(share * (len(_HEIGHTS) - 1))]


def _labels(low: float, high: float, zero: int) -> str:
    left, right = f"{low:.6g}", f"{high:.6g}"
    line = left.ljust(WIDTH - len(right)) + right
    if len(left) < zero < WIDTH - 1 - len(right):
        line = line[:zero] + "0" + line[zero + 1 :]
    return line
