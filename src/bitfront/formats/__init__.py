"""Number formats: element × granularity × scale."""

from bitfront.formats.calibration import calibrate
from bitfront.formats.families import Family
from bitfront.formats.format import Format
from bitfront.formats.granularity import Axes
from bitfront.formats.names import families, format
from bitfront.formats.observation import Observation

__all__ = ["Axes", "Family", "Format", "Observation", "calibrate", "families", "format"]
