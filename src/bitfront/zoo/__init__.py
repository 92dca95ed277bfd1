"""Example models and data sets: small enough to train in seconds, named by recipes as ``bitfront.zoo:NAME``.

A model factory takes no arguments and returns an untrained `torch.nn.Module` (torch's default initialisation,
so it follows ``torch.manual_seed``). A data factory returns `Splits`: the four splits as tensors on the CPU.
"""

from bitfront.zoo.digit_images import digits
from bitfront.zoo.jet_data import JET_CLASSES, JET_FEATURES, jets
from bitfront.zoo.jet_stand_in import jets_synthetic
from bitfront.zoo.models import digits_cnn, jsc_mlp, jsc_s, jsc_tiny
from bitfront.zoo.splits import Splits

__all__ = [
    "JET_CLASSES",
    "JET_FEATURES",
    "Splits",
    "digits",
    "digits_cnn",
    "jets",
    "jets_synthetic",
    "jsc_mlp",
    "jsc_s",
    "jsc_tiny",
]
