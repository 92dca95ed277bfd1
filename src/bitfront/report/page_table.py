"""The page's table of the front."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bitfront.metric import Metric
from bitfront.report.numbers import compared, human, uniform_label
from bitfront.report.page_source import Source
from bitfront.report.page_words import apart, interval_words


def front_table(source: Source) -> str:
    """One row a member, under the float model and the uniform assignments; the script makes it sortable.

    Cells carry the exact number as `data-value`.
    """
    document = source.document
    tested = [m for m in source.metrics if any(m.name in found["test"] for found in document["front"])]
    heads = ["<th scope=col data-sort=trial>trial</th>"]
    for metric in source.metrics:
        unit = f" <small>{escape(metric.unit)}</small>" if metric.unit else ""
        name = escape(metric.name, quote=True)
        heads.append(f'<th scope=col data-sort="{name}">{name}{unit}</th>')
    if "baseline_sum" in document:
        heads.append("<th scope=col data-sort=sum>weighted sum</th>")
    for metric in tested:
        name = escape(metric.name, quote=True)
        heads.append(f'<th scope=col data-sort="test {name}">test {name} <small>[95%]</small></th>')
    heads.append("<th scope=col class=commands>copy a command to</th>")
    base = document["baseline"]
    float_row = "".join(
        (
            "<tr class=reference><th scope=row>float</th>",
            *_values(source, base, compare=False),
            *_sum(document, "baseline_sum"),
            *_tests(document["baseline_test"], tested),
            "<td></td></tr>",
        )
    )
    same = apart(source)
    rows = "".join(_member(source, member, tested, member["trial"] in same) for member in document["front"])
    columns = len(heads)
    if not rows:
        rows = f"<tr><td colspan={columns}>No candidate keeps the limits.</td></tr>"
    return (
        '<div class="scroll"><table id="front"><thead><tr>'
        + "".join(heads)
        + f"</tr></thead><tbody>{float_row}{''.join(_uniform(source, tested))}</tbody>"
        + f'<tbody id="members">{rows}</tbody></table></div>'
    )


def export_command(source: Source, trial: int | str) -> str:
    """What deploys a trial; fine-tuned ones are called f0, f1, …"""
    return f"bitfront export {shlex.quote(source.run)} --trial {trial} --to onnx trial-{trial}.onnx"


def finetune_command(source: Source, trial: int | str) -> str:
    """What trains a trial of the search with its quantizers in place."""
    return f"bitfront finetune {shlex.quote(source.run)} --trial {trial}"


def command_buttons(source: Source, trial: int | str) -> str:
    """Copies the commands that export and, where that can be done, fine-tune a trial."""
    commands = {"export": export_command(source, trial)}
    if isinstance(trial, int) and not source.untrainable:
        commands["fine-tune"] = finetune_command(source, trial)
    return " ".join(
        f'<button type=button class=copy data-command="{escape(command, quote=True)}" '
        f'title="{escape(command, quote=True)}" aria-label="copy the command to {what} trial {trial}">'
        f"{what}</button>"
        for what, command in commands.items()
    )


def _member(source: Source, member: Mapping[str, Any], tested: list[Metric], same: bool) -> str:
    trial = member["trial"]
    star = " ★" if trial == source.document["knee"] else ""
    return "".join(
        (
            f'<tr data-trial="{trial}"><th scope=row data-value="{trial}">'
            f'<a href="#trial={trial}">{trial}{star}</a></th>',
            *_values(source, member["metrics"]),
            *_sum(member, "sum"),
            *_tests(member["test"], tested, same),
            f"<td class=commands>{command_buttons(source, trial)}</td></tr>",
        )
    )


def _uniform(source: Source, tested: list[Metric]) -> Iterator[str]:
    for name, found in source.document["uniform"].items():
        label = escape(f"all {uniform_label(name, found)}")
        if found["metrics"]:
            cells = "".join((*_values(source, found["metrics"]), *_sum(found, "sum")))
        else:
            cells = "<td>failed</td>" + "<td></td>" * (
                len(source.metrics) - 1 + ("baseline_sum" in source.document)
            )
        yield f"<tr class=reference><th scope=row>{label}</th>{cells}{'<td></td>' * (len(tested) + 1)}</tr>"


def _values(source: Source, values: Mapping[str, Any], compare: bool = True) -> Iterator[str]:
    for metric in source.metrics:
        if metric.name not in values:
            yield "<td>–</td>"
            continue
        value = float(values[metric.name])
        base = float(source.document["baseline"][metric.name])
        short = compared(value, base, metric) if compare else ""
        beside = f" <small>{escape(short)}</small>" if short else ""
        yield f'<td data-value="{value!r}" title="{value!r}">{escape(human(value, metric.unit))}{beside}</td>'


def _sum(found: Mapping[str, Any], key: str) -> Iterator[str]:
    if key in found:
        yield f'<td data-value="{float(found[key])!r}">{float(found[key]):.5g}</td>'


def _tests(found: Mapping[str, Any], tested: list[Metric], same: bool = False) -> Iterator[str]:
    for place, metric in enumerate(tested):
        if metric.name not in found:
            yield "<td>–</td>"
            continue
        value = float(found[metric.name]["value"])
        mark = " ≈" if same and not place else ""
        yield f'<td data-value="{value!r}">{escape(interval_words(found[metric.name], metric.unit))}{mark}</td>'
