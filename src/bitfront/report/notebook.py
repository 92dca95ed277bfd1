"""What a notebook shows of a run: the result in words over a small table of the front."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bitfront.metric import Metric
from bitfront.report.numbers import compared, human
from bitfront.report.page_words import interval_words
from bitfront.report.tables import headline, shown_members


def study_html(document: Mapping[str, Any], metrics: Sequence[Metric], notes: Sequence[str] = ()) -> str:
    """HTML without script or style sheet; everything that comes from the run is escaped.

    `document` has what `headline` reads of front.json, with `baseline_test`.
    """
    lines = [f"<p><b>{escape(headline(document, metrics))}</b></p>"]
    members = shown_members(document)
    if members:
        lines.append(_table(document, members, metrics))
    if len(members) < len(document["front"]):
        lines.append(f"<p>{len(members)} of {len(document['front'])} members are shown.</p>")
    if document["run"]:
        lines.append(f"<p>The run lies in <code>{escape(document['run'])}</code>.</p>")
    lines += [f"<p>note: {escape(note)}</p>" for note in notes]
    return "\n".join(lines)


def _table(
    document: Mapping[str, Any], members: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]
) -> str:
    tested = [m for m in metrics if any(m.name in member["test"] for member in members)][:1]
    names = ["trial", *(metric.name for metric in metrics)]
    names += ["sum"] * ("baseline_sum" in document) + [f"test {metric.name} [95%]" for metric in tested]
    rows = [("float", document["baseline"], document.get("baseline_sum"), document["baseline_test"])]
    for member in members:
        star = " ★" if member["trial"] == document["knee"] else ""
        rows.append((f"{member['trial']}{star}", member["metrics"], member.get("sum"), member["test"]))
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{label}</th>"
        + "".join(f"<td>{cell}</td>" for cell in _cells(values, document["baseline"], metrics))
        + (f"<td>{float(total):.5g}</td>" if total is not None else "")
        + "".join(f"<td>{_interval(tests, metric)}</td>" for metric in tested)
        + "</tr>"
        for label, values, total, tests in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cells(
    values: Mapping[str, Any], baseline: Mapping[str, Any], metrics: Sequence[Metric]
) -> Iterator[str]:
    for metric in metrics:
        value, base = float(values[metric.name]), float(baseline[metric.name])
        beside = "" if values is baseline else compared(value, base, metric)
        yield escape(human(value, metric.unit)) + (f" <small>{escape(beside)}</small>" if beside else "")


def _interval(tests: Mapping[str, Any], metric: Metric) -> str:
    return escape(interval_words(tests[metric.name], metric.unit)) if metric.name in tests else ""
