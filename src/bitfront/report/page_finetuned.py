"""The page's section on what fine-tuning made of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bitfront.metric import Metric
from bitfront.report.finetuned_plot import fronts_svg
from bitfront.report.finetuned_tables import changing, sum_cell
from bitfront.report.numbers import compared, duration, human
from bitfront.report.page_source import Source, axes
from bitfront.report.page_table import command_buttons
from bitfront.report.page_words import interval_words, shown_metrics


def finetuned_section(source: Source) -> str:
    """Before and after, and the front with the fine-tuned trials; "" where nothing was fine-tuned."""
    found = source.document.get("finetuned")
    if not found:
        return ""
    records, after = found["trials"], found["front"]
    metrics = shown_metrics(source)
    improved = sum("parent" in member for member in after)
    seconds = sum(float(record["training_seconds"]) for record in records)
    several = len(records) != 1
    words = (
        f"{len(records)} trial{'s' * several} of the search {'were' if several else 'was'} trained with their "
        f"quantizers in place, in {duration(seconds)} altogether. {_share(improved, len(after))}"
    )
    chart = finetuned_svg(source)
    drawn = f'<div class="scroll fronts">{chart}</div>' if chart else ""
    return (
        '<section aria-labelledby="finetuned"><h2 id="finetuned">After fine-tuning</h2>'
        f"<p>{escape(words)}</p>{drawn}{_trials(source, records, metrics)}"
        f"<h3>The front with them</h3>{_front(source, after, metrics)}</section>"
    )


def _share(improved: int, members: int) -> str:
    """How much of the front was fine-tuned.

    >>> _share(0, 1)
    'The only member of the front with them was not fine-tuned.'
    >>> _share(1, 3)
    'Of the 3 members of the front with them, 1 was fine-tuned.'
    >>> _share(0, 3)
    'Of the 3 members of the front with them, none was fine-tuned.'
    >>> _share(0, 0)
    'The front with them has no members: none keeps the limits.'
    """
    if not members:
        return "The front with them has no members: none keeps the limits."
    if members == 1:
        return f"The only member of the front with them was {'' if improved else 'not '}fine-tuned."
    counted = "none was" if not improved else "1 was" if improved == 1 else f"{improved} were"
    return f"Of the {members} members of the front with them, {counted} fine-tuned."


def finetuned_svg(source: Source) -> str | None:
    """Both fronts, by the metrics that the page's scatter begins with; None where nothing was fine-tuned."""
    found = source.document.get("finetuned")
    if not found:
        return None
    x, y = axes(source)
    stairs = source.objectives.dimensions == 2 and set(source.objectives.metrics) == {x, y}
    return fronts_svg(source.front, found, source.document["baseline"], x, y, stairs)


def _trials(source: Source, records: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> str:
    changed = changing(records, metrics)
    heads = ["trial", "from"]
    for metric in metrics:
        heads += [f"{metric.name} before", f"{metric.name} after"] if metric in changed else [metric.name]
    tested = [metric for metric in metrics if any(metric.name in record["test"] for record in records)]
    summed = any("sum_before" in record for record in records)
    heads += ["weighted sum before", "weighted sum after"] if summed else []
    heads += [f"{metric.name} on the test split, after" for metric in tested] + [
        "training",
        "copy a command to",
    ]
    rows: list[list[str]] = []
    for record in records:
        cells = [str(record["trial"]), str(record["parent"])]
        for metric in metrics:
            if metric in changed:
                cells.append(_cell(source, record["before"], metric))
            cells.append("failed" if record["failed"] else _cell(source, record["metrics"], metric))
        if summed:
            cells += [sum_cell(record, "sum_before"), sum_cell(record, "sum")]
        for metric in tested:
            test = record["test"].get(metric.name)
            cells.append("" if test is None else interval_words(test, metric.unit))
        cells.append(duration(float(record["training_seconds"])))
        commands = "" if record["failed"] else command_buttons(source, record["trial"])
        rows.append([*map(escape, cells), commands])
    return _table(heads, rows)


def _front(source: Source, members: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> str:
    summed = any("sum" in member for member in members)
    rows = [
        [
            f"{member['trial']} (from {member['parent']})" if "parent" in member else str(member["trial"]),
            *(escape(_cell(source, member["metrics"], metric)) for metric in metrics),
            *([sum_cell(member, "sum")] if summed else []),
            command_buttons(source, member["trial"]),
        ]
        for member in members
    ]
    heads = ["trial", *(metric.name for metric in metrics), *(["weighted sum"] if summed else [])]
    return _table([*heads, "copy a command to"], rows)


def _cell(source: Source, values: Mapping[str, Any], metric: Metric) -> str:
    if metric.name not in values:
        return ""
    value, baseline = float(values[metric.name]), float(source.document["baseline"][metric.name])
    return f"{human(value, metric.unit)} ({compared(value, baseline, metric)})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are markup already; the last ones are buttons."""
    *names, commands = heads
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in names)
    head += f'<th scope="col" class="commands">{escape(commands)}</th>'
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row[:-1])}<td class=commands>{row[-1]}</td></tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
