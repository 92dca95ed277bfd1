"""`bitfront suggest`: new limits answered from a run."""

from __future__ import annotations

from pathlib import Path

from bitfront.cli import console
from bitfront.report.suggest_table import answer_table, sentences
from bitfront.suggest.answering import answer
from bitfront.suggest.knowledge import knowledge


def suggest_limits(
    run: Path, lows: tuple[str, ...], highs: tuple[str, ...], measure: bool, json: bool, quiet: bool
) -> None:
    """Show what was measured within the limits and what is predicted beyond it."""
    console.one_thread()
    known = knowledge(run, lows, highs)
    document = answer(known, measure)
    if json:
        console.document(document)
        return
    out = console.screen()
    metrics = known.goals.metrics
    limited = [limit.metric for limit in known.objectives.limits]
    shown = list(dict.fromkeys((*known.objectives.metrics, *limited)))
    if document["measured"] or document["predicted"]:
        out.print(answer_table(document, shown))
    for number, entry in enumerate(document["predicted"], start=1):
        if len(entry["assignment"]) <= 12:
            chosen = ", ".join(f"{site} {name}" for site, name in entry["assignment"].items())
            out.print(f"new {number}: {chosen}", markup=False, soft_wrap=True)
    for sentence in sentences(document, metrics):
        out.print(sentence, markup=False, soft_wrap=True)
    if not quiet and document["predicted"] and not measure:
        console.say("Predictions are no measurements: --measure evaluates them and adds them to the run.")
