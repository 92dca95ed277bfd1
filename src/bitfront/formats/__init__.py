"""Number formats: element × granularity × scale."""

from bitfront.formats.families import Family
from bitfront.formats.format import Format
from bitfront.formats.granularity import Axes
from bitfront.formats.names import families, format

__all__ = ["Axes", "Family", "Format", "families", "format"]
