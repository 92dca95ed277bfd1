"""The metrics of a recipe: which are measured, which are known exactly, and what the search is after."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bitfront import plugins
from bitfront.costs.base import Cost
from bitfront.errors import RecipeError, suggest
from bitfront.graph.model import Graph
from bitfront.latency.metrics import MEASURED
from bitfront.metric import Limit, Metric, Objective, Objectives
from bitfront.quality.base import Quality
from bitfront.recipe.locating import blamed
from bitfront.recipe.schema import LatencyTable, MetricTable, Recipe, SearchTable
from bitfront.recipe.units import Bound, bound
from bitfront.space import Space

_OTHER = {"min": "max", "max": "min"}


@dataclass(frozen=True)
class Goals:
    """The metrics by family, and the limits as the recipe has them (some relative to the baseline)."""

    qualities: tuple[Quality, ...]
    costs: tuple[Cost, ...]
    measured: tuple[Metric, ...]
    bounds: Mapping[str, tuple[Bound | None, Bound | None]]
    recipe: Recipe

    @property
    def metrics(self) -> dict[str, Metric]:
        made = {made.metric.name: made.metric for made in (*self.qualities, *self.costs)}
        return made | {metric.name: metric for metric in self.measured}

    def objectives(self, baseline: Mapping[str, float]) -> Objectives:
        """Objectives and limits, once the float model's values are known.

        Raises:
            RecipeError: a metric's lower limit lies above its upper one, or the float model has no such value.
        """
        metrics = self.metrics
        for name in metrics:
            if name not in baseline:
                raise RecipeError(f"The float model has no value of {name} in this run.", ("metrics", name))
        tables = {name: table for name, table in self.recipe.metrics.items() if table.is_objective}
        limits: list[Limit] = []
        for name, (low, high) in self.bounds.items():
            floor = None if low is None else low.resolve(baseline[name])
            ceiling = None if high is None else high.resolve(baseline[name])
            _check_order(metrics[name], floor, ceiling)
            limits.append(Limit(metrics[name], floor, ceiling))
        search = self.recipe.search
        weights = {
            name: 1.0 if table.weight is None else float(table.weight) for name, table in tables.items()
        }
        return Objectives(
            tuple(Objective(metrics[name], weight) for name, weight in weights.items()),
            tuple(limits),
            search.direction if search.combine else None,
        )

    def check_possible(
        self, graph: Graph, space: Space, baseline: Mapping[str, float] | None = None
    ) -> list[str]:
        """Warnings on objectives that are the same everywhere in the space.

        Raises:
            RecipeError: no point of the space can keep a limit. Limits relative to the float model are
                checked when its values are given.
        """
        warnings: list[str] = []
        for cost in self.costs:
            name = cost.metric.name
            lowest, highest = cost.bounds(graph, space)
            if lowest == highest and self.recipe.metrics[name].is_objective:
                warnings.append(
                    f"{name} is {lowest:g} for every point of this space: as an objective it decides nothing."
                )
            self._check_limit(cost.metric, lowest, highest, baseline)
        for quality in self.qualities:
            self._check_limit(quality.metric, *quality.range, baseline)
        return warnings

    def _check_limit(
        self, metric: Metric, lowest: float, highest: float, baseline: Mapping[str, float] | None
    ) -> None:
        for bounded, key in zip(self.bounds.get(metric.name, (None, None)), ("min", "max"), strict=True):
            if bounded is None or (bounded.factor and baseline is None):
                continue
            value = bounded.resolve(baseline[metric.name] if baseline else 0.0)
            if (key == "max" and value < lowest) or (key == "min" and value > highest):
                nearest = lowest if key == "max" else highest
                more = "less" if key == "max" else "more"
                written = getattr(self.recipe.metrics[metric.name], key)
                meaning = f", which is {_with_unit(value, metric.unit)}," if isinstance(written, str) else ""
                raise RecipeError(
                    f"The limit {key} = {written!r} on {metric.name}{meaning} is impossible: no point of the "
                    f"space has {more} than {_with_unit(nearest, metric.unit)}.",
                    ("metrics", metric.name, key),
                )


def _with_unit(value: float, unit: str) -> str:
    return f"{value:g} ({value:.0%})" if unit == "fraction" else f"{value:.10g} {unit}".rstrip()


def _check_order(metric: Metric, floor: float | None, ceiling: float | None) -> None:
    if floor is not None and ceiling is not None and floor > ceiling:
        least, most = _with_unit(floor, metric.unit), _with_unit(ceiling, metric.unit)
        raise RecipeError(
            f"No {metric.name} can be at least {least} and at most {most}.", ("metrics", metric.name, "min")
        )


def _check_weight(metric: Metric, table: MetricTable, search: SearchTable) -> None:
    """A sum that works against a goal is a slip of the sign."""
    weight = 1.0 if table.weight is None else table.weight
    if not (search.combine and table.is_objective and weight):
        return
    if (metric.goal == search.direction) != (weight > 0):
        given = "its weight, 1 as none is given," if table.weight is None else f"weight = {weight:g}"
        wanted, done = ("large", "small") if metric.goal == "max" else ("small", "large")
        instead = "" if table.goal else f" If that is meant, add goal = {_OTHER[metric.goal]!r}."
        raise RecipeError(
            f"{metric.name} should be {wanted} (its goal is '{metric.goal}'), but {given} makes it {done} in "
            f"a sum whose direction is '{search.direction}': write weight = {-weight:g}.{instead}",
            ("metrics", metric.name, "weight"),
        )


def make_goals(recipe: Recipe) -> Goals:
    """Resolve the names of the metrics.

    Raises:
        RecipeError: an unknown metric or option, or a limit that can't be read or kept, or a weight that
            works against a goal.
    """
    qualities: list[Quality] = []
    costs: list[Cost] = []
    measured: list[Metric] = []
    bounds: dict[str, tuple[Bound | None, Bound | None]] = {}
    for name, table in recipe.metrics.items():
        made = _make(name, table)
        metric = made if isinstance(made, Metric) else made.metric
        if isinstance(made, Metric):
            measured.append(made)
        elif isinstance(made, Quality):
            qualities.append(made)
        else:
            costs.append(made)
        _check_weight(metric, table, recipe.search)
        low, high = _bound(name, "min", table.min, metric), _bound(name, "max", table.max, metric)
        if low is not None and high is not None and low.factor == high.factor == 0:
            _check_order(metric, low.offset, high.offset)
        bounds[name] = (low, high)
    limited = {name: pair for name, pair in bounds.items() if pair != (None, None)}
    return Goals(tuple(qualities), tuple(costs), tuple(measured), limited, recipe)


def _make(name: str, table: MetricTable) -> Quality | Cost | Metric:
    if name in MEASURED:
        return _measured(name, table)
    family = next((group for group in ("quality", "costs") if name in plugins.names(group)), None)
    if family is None:
        known = (*plugins.names("quality"), *plugins.names("costs"), *MEASURED)
        raise RecipeError(f"'{name}' is not a metric ({suggest(name, known)}).", ("metrics", name))
    factory = plugins.load(family, name)
    parameters = inspect.signature(factory).parameters
    for option in table.options:
        if option not in parameters:
            known = (*parameters, *MetricTable.model_fields)
            raise RecipeError(
                f"'{option}' is not a key of the metric {name} ({suggest(option, known)}).",
                ("metrics", name, option),
            )
    try:
        with blamed("metrics", name):
            made = factory(**table.options)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"The options of {name} don't work: {error}.", ("metrics", name)) from error
    return made if table.goal is None else replace(made, metric=replace(made.metric, goal=table.goal))


def _measured(name: str, table: MetricTable) -> Metric:
    """A metric of the runtime; what it is measured with stands under [latency]."""
    for option in table.options:
        known = (*MetricTable.model_fields, *LatencyTable.model_fields)
        hint = " of [latency], not" if option in LatencyTable.model_fields else " neither of [latency] nor"
        raise RecipeError(
            f"'{option}' is a key{hint} of the metric {name} ({suggest(option, known)}).",
            ("metrics", name, option),
        )
    metric = MEASURED[name]
    return metric if table.goal is None else replace(metric, goal=table.goal)


def _bound(name: str, key: str, value: float | int | str | None, metric: Metric) -> Bound | None:
    if value is None:
        return None
    try:
        return bound(value, metric.unit)
    except ValueError as error:
        raise RecipeError(f"{key} of {name}: {error}.", ("metrics", name, key)) from error
