"""Small networks, untrained. Layer names are the module paths given here; recipes match on them."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn


def jsc_tiny() -> nn.Module:
    """MASE's JSC-tiny: (batch, 16) -> (batch, 5), 117 parameters.

    ``seq_blocks.0`` batch norm, ``.1`` ReLU, ``.2`` linear 16-5, ``.3`` ReLU. The ReLU on the outputs is
    MASE's: an output that training pushes below zero for every example stays there, and its class is lost.
    """
    return _seq_blocks(nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5), nn.ReLU())


def jsc_s() -> nn.Module:
    """JSC-S in the manner of MASE, with batch norms: (batch, 16) -> (batch, 5), 5,797 parameters.

    Widths 16-64-32-32-32-5. ``seq_blocks.0`` is a batch norm; the linear layers are ``seq_blocks.1``, ``.4``,
    ``.7``, ``.10`` and ``.13``, all but the last followed by a batch norm and a ReLU. (MASE's own class of
    this name adds a ReLU on the inputs and on the outputs, keeps only some of the norms and calls the
    layers ``module_list.N``: its checkpoints don't fit here.)
    """
    widths = (16, 64, 32, 32, 32)
    layers: list[nn.Module] = [nn.BatchNorm1d(widths[0])]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return _seq_blocks(*layers, nn.Linear(widths[-1], 5))


def jsc_mlp() -> nn.Module:
    """The jet tagger of the hls4ml papers (Duarte et al. 2018): (batch, 16) -> (batch, 5), 4,389 parameters.

    Widths 16-64-32-32-5 with ReLUs and no norm; ``fc1``, ``relu1``, ``fc2``, ``relu2``, ``fc3``, ``relu3``,
    ``output`` as in the hls4ml tutorials, without their softmax: it returns logits.
    """
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            fc1=nn.Linear(16, 64),
            relu1=nn.ReLU(),
            fc2=nn.Linear(64, 32),
            relu2=nn.ReLU(),
            fc3=nn.Linear(32, 32),
            relu3=nn.ReLU(),
            output=nn.Linear(32, 5),
        )
    )


def digits_cnn() -> nn.Module:
    """A convolutional network for 8 x 8 digits: (batch, 1, 8, 8) -> (batch, 10), 15,418 parameters.

    Three 3 x 3 convolutions (1-16-32-32 channels) without bias, ``conv1`` to ``conv3``, each followed by a
    batch norm and a ReLU; 2 x 2 maximum pooling after the second and the third; ``head``, linear 128-10.
    """
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(1, 16, 3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(16, 32, 3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 32, 3, padding=1, bias=False),
            norm3=nn.BatchNorm2d(32),
            relu3=nn.ReLU(),
            pool3=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            head=nn.Linear(128, 10),
        )
    )


def _seq_blocks(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict[str, nn.Module](seq_blocks=nn.Sequential(*layers)))
