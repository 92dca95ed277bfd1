"""What may be compared."""

import pytest

from bitfront.compare.plan import ENUMERATED, MOST, Plan
from bitfront.errors import InputError


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(("tpe", "randon")), "'randon' is not a strategy.*did you mean 'random'"),
        (Plan(()), "nothing to compare"),
        (Plan(("tpe",), repeats=0), "repeats must be at least 1, but is 0"),
        (Plan(("tpe",), trials=0), "trials must be at least 1, but is 0"),
    ],
)
def test_mistakes(plan: Plan, said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan.check()


@pytest.mark.parametrize(
    ("strategies", "exact", "size", "enumerated"),
    [
        (("tpe",), None, 10, False),
        (("tpe", "brute-force"), None, ENUMERATED, True),
        (("tpe", "brute-force"), None, ENUMERATED + 1, False),
        (("tpe", "brute-force"), False, 10, False),
        (("tpe",), True, MOST, True),
    ],
)
def test_when_the_space_is_enumerated(
    strategies: tuple[str, ...], exact: bool | None, size: int, enumerated: bool
) -> None:
    plan = Plan(strategies, exact=exact, trials=5)
    assert plan.enumerates(size) == enumerated
    # Brute force goes through what is evaluated anyway.
    assert plan.budget("brute-force", size) == (size if enumerated else 5)
    assert plan.budget("tpe", size) == 5


def test_a_space_too_large_to_be_enumerated() -> None:
    with pytest.raises(InputError, match="1,000,001"):
        Plan(("tpe",), exact=True).enumerates(MOST + 1)


def test_brute_force_is_the_same_for_every_seed() -> None:
    plan = Plan(("tpe", "brute-force"), repeats=4, seed=7)
    assert list(plan.seeds("tpe")) == [7, 8, 9, 10]
    assert list(plan.seeds("brute-force")) == [7]
