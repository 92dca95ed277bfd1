"""The additive surrogate: what it learns, and that its intervals hold what they promise."""

import math

import numpy as np
import pytest

from bitfront.space import Space
from bitfront.surrogate import FEWEST, Link, Surrogate, _left_out
from bitfront.testing.strategies import space_of

SPACE = space_of(4, 3, 3, 2, 4)  # 288 points
POINTS = [SPACE.point(index) for index in range(SPACE.size)]


def damages(generator: np.random.Generator, space: Space, noise: float) -> np.ndarray:
    """Each choice does damage that grows as the format narrows; damages add up, times a random factor."""
    from bitfront.formats import format

    scale = [math.exp(generator.normal(0, 1)) for _ in space.variables]
    parts = [
        [s * 4.0 ** -format(name).element.bits for name in variable.formats]
        for s, variable in zip(scale, space.variables, strict=True)
    ]
    found = []
    for index in range(space.size):
        row = space.row(space.point(index))
        total = sum(part[choice] for part, choice in zip(parts, row, strict=True))
        found.append(total * math.exp(generator.normal(0, noise)))
    return np.array(found)


@pytest.mark.parametrize("straight", [False, True])
def test_what_is_additive_is_learnt(straight: bool) -> None:
    generator = np.random.default_rng(0)
    parts = [generator.normal(0, 1, len(variable.formats)) for variable in SPACE.variables]
    values = np.array([sum(p[c] for p, c in zip(parts, SPACE.row(a), strict=True)) for a in POINTS])
    chosen = generator.permutation(SPACE.size)[:60]
    surrogate = Surrogate(SPACE, [POINTS[n] for n in chosen], values[chosen].tolist(), straight)
    predicted = np.array([surrogate.predict(point).value for point in POINTS])
    assert np.abs(predicted - values).max() < 0.25 * values.std()
    assert surrogate.rank_correlation > 0.97
    if straight:
        assert not surrogate.link.bent


def test_sums_are_what_is_predicted() -> None:
    """The constant and the contributions, which the programme adds up, are the prediction."""
    values = damages(np.random.default_rng(1), SPACE, 0.2)
    chosen = range(0, SPACE.size, 7)
    surrogate = Surrogate(SPACE, [POINTS[n] for n in chosen], [values[n] for n in chosen])
    for point in POINTS[::11]:
        row = SPACE.row(point)
        total = surrogate.constant + sum(
            part[choice] for part, choice in zip(surrogate.contributions, row, strict=True)
        )
        value = float(surrogate.link.back(np.array([total]))[0])
        assert surrogate.predict(point).value == pytest.approx(value)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_intervals_hold_what_they_promise(seed: int, noise: float) -> None:
    generator = np.random.default_rng(seed)
    values = damages(generator, SPACE, noise)
    order = generator.permutation(SPACE.size)
    chosen, rest = order[:80], order[80:]
    surrogate = Surrogate(SPACE, [POINTS[n] for n in chosen], values[chosen].tolist())
    predicted = [surrogate.predict(POINTS[n]) for n in rest]
    inside = [p.low <= values[n] <= p.high for p, n in zip(predicted, rest, strict=True)]
    assert np.mean(inside) > 0.85
    assert all(p.low <= p.value <= p.high for p in predicted)
    # And they are not so wide as to say nothing: beside the spread of the values themselves.
    assert np.median([p.high - p.low for p in predicted]) < 2 * (values.max() - values.min())


@pytest.mark.parametrize(
    "link",
    [Link(math.inf, bent=False), Link(0.3, bent=False), Link(0.3, bent=True)],
    ids=["plain", "loud", "bent"],
)
def test_leaving_out_in_closed_form_is_leaving_out(link: Link) -> None:
    """Against conditioning a Gaussian on all trials but one, written out."""
    generator = np.random.default_rng(2)
    rows, widths, noise = generator.normal(size=(15, 6)), generator.uniform(0.5, 2, 6), 0.3
    values = generator.normal(size=15)
    louder = link.noise(link.forward(values))
    left, sizes, _ = np.linalg.svd(rows * widths / louder[:, None], full_matrices=False)
    fit = _left_out(link, widths, noise, values, left, sizes)
    sums = link.forward(values) / fit.unit
    covariance = (rows * widths**2) @ rows.T + np.diag((noise * louder) ** 2)
    for out in range(15):
        rest = [n for n in range(15) if n != out]
        gain = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, out])
        assert fit.predicted[out] == pytest.approx(gain @ sums[rest])
        if link.bent or math.isinf(link.scale):
            assert fit.spread[out] ** 2 == pytest.approx(covariance[out, out] - gain @ covariance[rest, out])


@pytest.mark.parametrize("link", [Link(0.2, bent=True), Link(0.2, bent=False)])
def test_links_go_back(link: Link) -> None:
    values = np.array([-3.0, -0.1, 0.0, 0.2, 50.0])
    assert link.back(link.forward(values)) == pytest.approx(values)
    assert (np.diff(link.forward(values)) > 0).all()


def test_chances_agree_with_intervals() -> None:
    values = damages(np.random.default_rng(3), SPACE, 0.3)
    chosen = range(0, SPACE.size, 5)
    surrogate = Surrogate(SPACE, [POINTS[n] for n in chosen], [values[n] for n in chosen])
    for point in POINTS[::31]:
        predicted = surrogate.predict(point)
        assert surrogate.chance(point, -math.inf, predicted.value) == pytest.approx(0.5)
        assert surrogate.chance(point, predicted.low, predicted.high) > 0.9
        assert surrogate.chance(point, -math.inf, math.inf) == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_a_quality_that_never_changes(value: float) -> None:
    surrogate = Surrogate(SPACE, POINTS[:FEWEST], [value] * FEWEST)
    predicted = surrogate.predict(POINTS[-1])
    assert predicted.value == pytest.approx(value, abs=1.0)
    assert predicted.low <= predicted.value <= predicted.high
    assert math.isnan(surrogate.rank_correlation)
