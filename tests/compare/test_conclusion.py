"""The sentence that a comparison comes to."""

from typing import Any

from bitfront.compare.conclusion import conclusion


def strategy(need: float | None, auc: float = 0.5, repeats: int = 10) -> dict[str, Any]:
    return {"evaluations_to_95": need, "auc": auc, "repeats": repeats, "final": {"median": 0.9}}


def rank(*pair: str, better: str | None, p: float) -> dict[str, Any]:
    return {
        "measure": "evaluations_to_95",
        "pair": list(pair),
        "p_holm": p,
        "better": better,
        "significant": better is not None and p < 0.05,
    }


def document(tests: list[Any] | None = None, **strategies: Any) -> dict[str, Any]:
    return {
        "reference_front": [{"size": 1.0}],
        "reference": "exact",
        "measure": "hypervolume",
        "objectives": [{"name": "size"}],
        "strategies": strategies,
        "tests": tests or [],
    }


def test_the_fewest_first_with_ratios() -> None:
    said = conclusion(
        document(random=strategy(100), tpe=strategy(40), qmc=strategy(None), brute=strategy(40, 0.4))
    )
    assert said == (
        "tpe reaches 95% of the true front's hypervolume in 40 evaluations (median of 10 runs); brute needs as "
        "many; random needs 100, 2.5 times as many; qmc doesn't in half of its runs."
    )


def test_what_is_sure_is_said_and_no_more() -> None:
    strategies = {"tpe": strategy(40), "random": strategy(100), "qmc": strategy(60)}
    two = [rank("tpe", "random", better="tpe", p=0.001), rank("qmc", "tpe", better="tpe", p=0.2)]
    other = [rank("qmc", "random", better="qmc", p=0.001)]
    assert "The lead over random is significant (p = 0.001," in conclusion(
        document(two + other, **strategies)
    )
    both = [rank("tpe", "random", better="tpe", p=0.001), rank("qmc", "tpe", better="tpe", p=0.02)]
    assert "The lead over all others is significant (p ≤ 0.02," in conclusion(document(both, **strategies))
    none = [rank("tpe", "random", better="tpe", p=0.3), rank("qmc", "tpe", better="qmc", p=0.01)]
    assert "None of these differences is significant" in conclusion(document(none, **strategies))


def test_nobody_gets_there() -> None:
    said = conclusion(document(random=strategy(None, 0.3), tpe=strategy(None, 0.6)))
    assert said.startswith(
        "No strategy reaches 95% of the true front's hypervolume in half of its runs; tpe comes"
    )
    assert "90.0%" in said


def test_a_known_reference_and_a_single_objective_are_called_so() -> None:
    known = document(tpe=strategy(1, repeats=1)) | {"reference": "best-known"}
    assert conclusion(known) == "tpe reaches 95% of the best known front's hypervolume in 1 evaluation."
    assert "95% of the known gain in size in" in conclusion(known | {"measure": "gain"})


def test_nothing_feasible() -> None:
    assert "nothing to compare" in conclusion(document(tpe=strategy(None)) | {"reference_front": []})
