"""Training: the float model of a recipe, and candidates with their quantizers in place."""

from bitfront.train.floating import accuracy, fit, save_weights
from bitfront.train.loop import Epoch, Settings, TrainingError, epochs_done

__all__ = ["Epoch", "Settings", "TrainingError", "accuracy", "epochs_done", "fit", "save_weights"]
