"""One coordinator and stateless workers: who evaluates, when a process of its own does.

`Material` is what a worker needs, written once and shared. A `Crew` keeps workers alive: processes on this
machine in `local`. `Pool` hands candidates out, puts outcomes in order, and finds out whose fault it is when
a worker ends.
"""

from bitfront.workers.crew import Crew
from bitfront.workers.local import LocalCrew
from bitfront.workers.material import Material
from bitfront.workers.pool import Pool

__all__ = ["Crew", "LocalCrew", "Material", "Pool"]
