"""Who judges the candidates of a search: this process, others on this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from bitfront.recipe import Job, Recipe
from bitfront.recipe.workers import check_judged_elsewhere
from bitfront.workers import Crew
from bitfront.workers.cluster import Cluster, connected
from bitfront.workers.ray_crew import RayCrew

Hire = Callable[[Job], Crew | None]


@contextmanager
def hiring(recipe: Recipe, ray: str | None, say: Callable[[str], None], key: str = "ray") -> Iterator[Hire]:
    """What hires the workers of a job: as its recipe says, or on the cluster at the address `ray`.

    The connection to the cluster lasts as long as the context. `say` hears of nodes that can't be used; `key` is
    how errors call the address.

    Raises:
        InputError: there is no such cluster, or this recipe's candidates can't be judged on one.
    """
    if ray is None:
        yield Job.crew
        return
    check_judged_elsewhere(recipe.search.device, key)
    with connected(ray) as cluster:
        yield partial(crew_on, cluster, say)


def crew_on(cluster: Cluster, say: Callable[[str], None], job: Job) -> RayCrew:
    """Workers on a cluster: as many as the recipe says, or as there is room for. `memory` is that of a machine."""
    search = job.recipe.search
    workers = search.workers if "workers" in search.model_fields_set else None
    most = cluster.most_processors()
    share = search.bytes // (most if workers is None else min(workers, most))
    return RayCrew(replace(job.material(), memory=share), cluster, workers, say)
