"""Losses against what they are by definition."""

import pytest
import torch

from bitfront.train.losses import Distillation, Task


def test_distillation_by_hand() -> None:
    # softmax of (0, ln 3) is (1/4, 3/4), of (0, 0) it is (1/2, 1/2): KL = 1/4 ln 1/2 + 3/4 ln 3/2
    ours = torch.zeros(1, 2)
    theirs = torch.tensor([[0.0, torch.tensor(3.0).log().item()]])
    wanted = 0.25 * torch.tensor(0.5).log() + 0.75 * torch.tensor(1.5).log()
    assert Distillation(1.0).loss(ours, theirs).item() == pytest.approx(wanted.item())
    softened = Distillation(1.0, 2.0).loss(ours, 2 * theirs).item()
    assert softened == pytest.approx(4 * wanted.item())
    assert Distillation(1.0).loss(theirs, theirs).item() == pytest.approx(0.0, abs=1e-7)


def test_distillation_is_the_mean_over_predictions() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 3, 5, 7, generator=generator)
    pairs = (ours.reshape(15, 1, 7), theirs.reshape(15, 1, 7))
    single = [Distillation(1.0).loss(a, b) for a, b in zip(*pairs, strict=True)]
    assert Distillation(1.0).loss(ours, theirs).item() == pytest.approx(torch.stack(single).mean().item())


def test_mixing() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 6, 4, generator=generator)
    labels, task = torch.tensor([0, 1, 2, 3, 0, 1]), Task()
    taught, told = Distillation(1.0).loss(ours, theirs), task.loss(ours, labels)
    assert Distillation(0.25).mixed(task, ours, labels, theirs).item() == pytest.approx(
        (0.25 * taught + 0.75 * told).item()
    )
    assert Distillation(0.25).mixed(task, ours, None, theirs).equal(taught)


def test_padding_is_not_taught() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 1, 5, 7, generator=generator)
    targets = torch.tensor([[1, 2, 3, -100, -100]])
    other = theirs.clone()
    other[:, 2:] *= 3  # from here on the next token is padding
    for weight in (0.5, 1.0):
        losses = [
            Distillation(weight).mixed(Task(True), ours, targets, one).item() for one in (theirs, other)
        ]
        assert losses[0] == losses[1]
        other[:, 0] *= 2
        assert Distillation(weight).mixed(Task(True), ours, targets, other).item() != losses[0]
        other[:, 0] /= 2
