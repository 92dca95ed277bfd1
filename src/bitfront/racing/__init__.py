"""Racing: candidates are judged on growing parts of the search split, and dropped once they can't win.

An idea of O. Maron and A. Moore, "Hoeffding races: accelerating model selection search for classification and
function approximation", NIPS 1993; here candidates race against the front, in several objectives.
"""

from bitfront.racing.race import HEAT, PASSES, Race, hindrance

__all__ = ["HEAT", "PASSES", "Race", "hindrance"]
