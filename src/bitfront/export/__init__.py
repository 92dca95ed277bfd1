"""Exports: a trial of a run as a file that deploys, compared with the simulator before it is called done."""

from bitfront.export.exporting import Export, export_trial
from bitfront.export.opening import OpenRun, open_run

__all__ = ["Export", "OpenRun", "export_trial", "open_run"]
