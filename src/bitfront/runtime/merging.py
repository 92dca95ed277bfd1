"""Formats that quantize a stored tensor to the same bits: what comes after is the same, too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from bitfront.runtime.blocks import Indexes, equal
from bitfront.runtime.candidate import Candidates
from bitfront.runtime.choices import Choices

_UNKNOWN = -1


class Merging:
    """Replaces codes of formats by the first code that gives the same tensor.

    Fixed-point formats of one fraction differ in nothing but where they saturate, and small weights never get
    there; a weight that was trained with few bits has them already. `sites` are those of stored tensors that
    follow from their own format alone.
    """

    def __init__(self, choices: Choices, candidates: Candidates, sites: Sequence[str]) -> None:
        self._choices = choices
        self._candidates = candidates
        self._sites = [(choices.column[site], site) for site in sites]
        self._same: dict[int, Indexes] = {column: np.empty(0, np.int64) for column, _ in self._sites}

    def merge(self, choices: Indexes) -> None:
        """Do so in place, for codes of shape (candidates, sites)."""
        for column, site in self._sites:
            codes = choices[:, column]
            same = self._same[column]
            if (grown := self._choices.codes) > len(same):
                same = np.concatenate([same, np.full(grown - len(same), _UNKNOWN)])
                self._same[column] = same
            merged = same[codes]
            if (merged == _UNKNOWN).any():
                for code in np.unique(codes[merged == _UNKNOWN]).tolist():
                    same[code] = self._first(site, code, same)
                merged = same[codes]
            choices[:, column] = merged

    def _first(self, site: str, code: int, same: Indexes) -> int:
        """The code itself, or an earlier one of the same tensor."""
        tensor = self._weight(site, code)
        for other in np.unique(same[same != _UNKNOWN]).tolist():
            earlier = self._weight(site, other)
            if tensor.stride() == earlier.stride() and equal(tensor, earlier):
                return other
        return code

    def _weight(self, site: str, code: int) -> Tensor:
        return self._candidates.weight(site, self._choices.spelled(code))
