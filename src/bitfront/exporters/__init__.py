"""Files that deploy: each says what it can express, writes it, and reads it again."""

from bitfront.exporters.base import Exporter, Subject, check, exporter
from bitfront.exporters.tensors import Exported, load

__all__ = ["Exported", "Exporter", "Subject", "check", "exporter", "load"]
