"""What a space asks of a runtime, found before anything runs: formats that no kernel runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from bitfront.errors import RecipeError
from bitfront.latency.kernels import FLOAT32, NoKernel, choose, describe, formats_of, kernel_for
from bitfront.latency.layers import Layer, Layers
from bitfront.space import Space, Variable

_SHOWN = 4


def check_space(layers: Layers, space: Space, otherwise: NoKernel) -> list[str]:
    """A note on what has no kernel.

    Raises:
        RecipeError: some formats of the space have no kernel and `otherwise` is "error", or nothing
            but float would be timed.
    """
    variable = {site: choice for choice in space.variables for site in choice.sites}
    without = [text for layer in layers for text in _without(layer, layers, variable)]
    without += [
        f"{layers.named(site)} in {name}"
        for site, choice in variable.items()
        if site not in layers.readable
        for name in choice.formats
        if name != FLOAT32
    ]
    if not _anything_runs_otherwise(layers, variable, otherwise):
        why = (
            f"no kernel runs {_listed(without)}" if without else "no layer's weight or input is in the space"
        )
        raise RecipeError(
            f"Latency would be that of the float model for every point, since {why}. {_KERNELS}",
            ("latency", "no_kernel"),
        )
    if not without:
        return []
    if otherwise == "error":
        raise RecipeError(
            f"Latency can't be measured for the whole space, since no kernel runs {_listed(without)}. {_KERNELS} "
            'no_kernel = "float" under [latency] times the others in float, no_kernel = "container" in int8.',
            ("latency", "no_kernel"),
        )
    how = "in float" if otherwise == "float" else "in int8 containers, or in float where they don't fit"
    return [f"No kernel runs {_listed(without)}: latency times these {how}."]


_KERNELS = (
    "Kernels run float32; inputs of at most 8 bits with one scale (uint8, int8, uint4) with signed weights of at "
    "most 8 bits, per tensor or channel (int8c, int4c); and linear layers with float inputs and integer weights "
    "(int4g32)."
)


def _listed(without: list[str]) -> str:
    more = f"; and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
    return "; ".join(without[:_SHOWN]) + more


def _without(layer: Layer, layers: Layers, variable: dict[str, Variable]) -> Iterator[str]:
    """The combinations of formats of a layer that the space offers and no kernel runs."""
    for inputs, weight in _offered(layer, layers, variable):
        if kernel_for(layer, inputs, weight) is None:
            yield describe(layer, inputs, weight)


def _anything_runs_otherwise(layers: Layers, variable: dict[str, Variable], otherwise: NoKernel) -> bool:
    """Whether some layer runs in another kernel than float at some point of the space."""
    choices = (
        choose(layer, inputs, weight, otherwise)
        for layer in layers
        for inputs, weight in _offered(layer, layers, variable)
    )
    return any(choice is not None and choice.kernel != FLOAT32 for choice in choices)


def _offered(
    layer: Layer, layers: Layers, variable: dict[str, Variable]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every combination of formats that the space offers the inputs and the weight of a layer."""
    weight = layers.site(layer.weight)
    sites = [site for site in (*layer.inputs, weight) if site in variable]
    choices = list(dict.fromkeys(variable[site] for site in sites if site))
    for names in product(*(choice.formats for choice in choices)):
        chosen = {s: name for choice, name in zip(choices, names, strict=True) for s in choice.sites}
        yield formats_of(layer, weight, chosen)
