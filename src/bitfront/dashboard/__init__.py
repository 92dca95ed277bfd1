"""A run in optuna-dashboard: its trials as an Optuna study in an SQLite file, and the server that shows it."""

from bitfront.dashboard.mirror import NAME, Written, write_mirror
from bitfront.dashboard.source import Source, read_source

__all__ = ["NAME", "Source", "Written", "read_source", "write_mirror"]
