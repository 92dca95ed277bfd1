"""What a comparison says of two stacks of outputs."""

import pytest
import torch

from bitfront.errors import BitfrontError
from bitfront.export.comparing import compare


def test_differences_and_agreement() -> None:
    wanted = torch.tensor([[1.0, 2.0], [4.0, -1.0]])
    found = compare(wanted, torch.tensor([[1.0, 2.5], [4.0, 5.0]]))
    assert (found.examples, found.largest, found.mean, found.scale) == (2, 6.0, 1.625, 2.0)
    assert found.agreement == 0.5
    assert not found.within(0.8)
    assert found.within(0.82)
    assert not found.within(0)
    assert compare(wanted, wanted.clone()).within(0)


def test_sequences_agree_by_position() -> None:
    wanted = torch.eye(4).reshape(1, 4, 4)
    assert compare(wanted, wanted.roll(1, 1)).agreement == 0
    half = torch.cat([wanted[:, :2], wanted[:, 2:].flip(1)], 1)
    assert compare(wanted, half).agreement == 0.5


def test_other_shapes_and_nan() -> None:
    with pytest.raises(BitfrontError, match="shape"):
        compare(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(BitfrontError, match="NaN"):
        compare(torch.zeros(2, 3), torch.full((2, 3), float("nan")))
