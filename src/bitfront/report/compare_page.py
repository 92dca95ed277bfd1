"""compare.html: one file without scripts, that works offline and in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bitfront.report.compare_plot import curves_svg, needs_svg
from bitfront.report.compare_table import HEADINGS, cells, legend_words, measured_by, reference_words

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem;
background:Canvas;color:CanvasText}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
.say{font-size:1.1rem;border-left:4px solid #0072B2;padding-left:1rem}
.scroll{overflow-x:auto;max-width:100%}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #8885;text-align:right}
th:first-child,td:first-child{text-align:left}
td,th{white-space:nowrap}svg{max-width:100%;height:auto}
@media(max-width:600px){body{margin:1rem auto}.scroll>svg{min-width:600px}}
@media print{:root{color-scheme:light}body{max-width:none;margin:0;background:#fff;color:#000}
svg,tr{break-inside:avoid}h2{break-after:avoid}.scroll{overflow:visible}}
.sure{font-weight:600}.faint,footer{opacity:.75;font-size:.9rem}
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole page, from what `compare --json` prints; nothing in it is taken for markup."""
    title = f"{', '.join(document['strategies'])} on {document['model']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="say">{escape(document["conclusion"])}</p>',
        f"<p>{escape(reference_words(document))}</p>",
        "<h2>What is found after how many evaluations</h2>",
        f"<p>{escape(measured_by(document))}</p>",
        _wide(curves_svg(document)),
        "<h2>Evaluations needed</h2>",
        _wide(needs_svg(document)),
        _table(HEADINGS, [cells(name, found) for name, found in document["strategies"].items()]),
        f"<p class=faint>{escape(legend_words(document))}</p>",
        _limits(document),
        "<h2>Is it luck?</h2>",
        _tests(document),
        "<h2>Against time</h2>",
        _wide(curves_svg(document, seconds=True)),
        "<p class=faint>Seconds are what an evaluation took when it was made here, in batches that strategies "
        "share, and what the strategy took to propose. One that asks for a few candidates at a time would wait "
        "longer for each.</p>",
        _overheads(document),
        *(f"<p class=faint>{escape(note)}</p>" for note in document["notes"]),
        f"<footer>{escape(_facts(document))}</footer>",
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _wide(svg: str) -> str:
    """A picture that is moved sideways where the screen is too narrow to read it."""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="picture">{svg}</div>'


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _limits(document: Mapping[str, Any]) -> str:
    """Where there are limits: when the first candidate kept them, and the best values that did."""
    if not document["limits"] and document["measure"] == "hypervolume":
        return ""
    names = [objective["name"] for objective in document["objectives"]]
    rows = []
    for name, found in document["strategies"].items():
        first = found["evaluations_to_limits"]["median"]
        best = [found["best"][objective]["median"] for objective in names]
        rows.append([name, "never" if first is None else f"{first:g}", *map(_value, best)])
    return "<h2>Best values that keep the limits</h2>" + _table(
        ["strategy", "first after", *(f"best {name}" for name in names)], rows
    )


def _value(value: float | str | None) -> str:
    return "none" if value is None else value if isinstance(value, str) else f"{value:,.6g}"


def _tests(document: Mapping[str, Any]) -> str:
    rows = [
        [
            " – ".join(test["pair"]),
            {"evaluations_to_95": "evaluations to 95%", "auc": "area under the curve"}[test["measure"]],
            test["test"],
            f"{test['p']:.2g}",
            f"{test['p_holm']:.2g}",
            f"{test['better']} is better" if test["significant"] else "may be luck",
        ]
        for test in document["tests"]
    ]
    if not rows:
        return "<p>One strategy, or none that depends on a seed: there is nothing to test.</p>"
    return (
        "<p>Two-sided rank tests over the runs, adjusted for the number of pairs by Holm's method; what was "
        "not reached ranks last. Against brute force, which is the same for every seed, a sign test.</p>"
        + _table(["pair", "measure", "test", "p", "p, Holm", "at 5%"], rows)
    )


def _overheads(document: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{found['overhead_ms']['median']:.3g}",
            f"{found['proposals']:,}",
            f"{found['duplicates']:,}",
            f"{found['pareto_share']['median']:.0%}",
        ]
        for name, found in document["strategies"].items()
    ]
    return _table(
        ["strategy", "ms per proposal", "proposals", "repeats among them", "Pareto points found"], rows
    )


def _facts(document: Mapping[str, Any]) -> str:
    return (
        f"{document['evaluated']:,} of {document['space_size']:,} points evaluated once each; the runs would "
        f"have paid for {document['paid']:,}. {document['failed']} failed. Seeds from {document['seed']}."
    )
