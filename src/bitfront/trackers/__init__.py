"""Experiment trackers behind one seam: TensorBoard, MLflow, Weights & Biases, and whatever else is installed.

A tracker is an entry point of the group `bitfront.trackers`: a function without arguments that returns a `Tracker`.
"""

from bitfront.trackers.base import Ending, Session, Tracker
from bitfront.trackers.tracking import Tracking

__all__ = ["Ending", "Session", "Tracker", "Tracking"]
