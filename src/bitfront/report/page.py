"""report.html: one file that works offline, in light and dark, on paper, and without a mouse."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from bitfront.report.page_finetuned import finetuned_section
from bitfront.report.page_layers import Heat, heat_of, layers_section, shares
from bitfront.report.page_lessons import lessons
from bitfront.report.page_points import Code, points, spread
from bitfront.report.page_search import search_section
from bitfront.report.page_source import Source, axes
from bitfront.report.page_table import export_command, finetune_command, front_table
from bitfront.report.page_trust import trust_section
from bitfront.report.page_why import why_section
from bitfront.report.page_words import apart, next_words, opening
from bitfront.report.plot import front_svg

_COMMANDS = {"export": export_command, "finetune": finetune_command}
_STILL = 600  # candidates in the picture that stands where no script runs
_SECTIONS = {
    "trade-offs": "Trade-offs",
    "table": "The front",
    "layers": "Bits by layer",
    "why": "Why these bits",
    "search": "The search",
    "trust": "How to trust it",
}


def page(source: Source) -> str:
    """The whole page. Names from the run reach it escaped, or as JSON that the script shows as text.

    The page's policy lets no script run but its own, known by its hash, and no request leave.
    """
    code = Code(source.sites, source.trials)
    drawn, heat, learnt = points(source, code), heat_of(source), lessons(source)
    title = str(source.manifest.get("graph", {}).get("model") or source.run)
    style, script = (
        files("bitfront.report").joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js")
    )
    links = "".join(f'<a href="#{name}">{words}</a>' for name, words in _SECTIONS.items())
    said = "".join(f"<p>{escape(words)}</p>" for words in opening(source))
    body = [
        f'<p class="eyebrow">{escape(_eyebrow(source))}</p><h1>{escape(title)}</h1>',
        f'<div class="say">{said}{next_words(source)}</div>',
        f'<nav aria-label="sections">{links}</nav>',
        _trade_offs(source, drawn),
        _section("table", _members(source)),
        finetuned_section(source),
        _section("layers", layers_section(source, heat)),
        _section("why", why_section(source, learnt)),
        _section("search", search_section(source)),
        _section("trust", trust_section(source)),
        f'<script type="application/json" id="data">{embedded(page_data(source, code, drawn, heat))}</script>',
        f"<script>{script}</script>",
    ]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}, bitfront</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _eyebrow(source: Source) -> str:
    started = str(source.manifest.get("started", ""))[:10]
    return ", ".join(("bitfront report", f"run {source.run}", *([started] if started else [])))


def embedded(value: Any) -> str:
    r"""JSON that can stand inside of a script element, whatever its strings hold.

    >>> embedded({"a": "</script>"})
    '{"a":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_data(source: Source, code: Code, drawn: Mapping[str, Any], heat: Heat | None) -> dict[str, Any]:
    """What the script draws."""
    bounds = {limit.metric.name: limit for limit in source.objectives.limits}
    return {
        "metrics": [
            {
                "name": metric.name,
                "unit": metric.unit,
                "goal": metric.goal,
                "low": bounds[metric.name].low if metric.name in bounds else None,
                "high": bounds[metric.name].high if metric.name in bounds else None,
            }
            for metric in source.metrics
        ],
        "axes": [source.metrics.index(metric) for metric in axes(source)],
        "stairs": _stairs(source),
        "knee": source.document["knee"],
        "commands": {name: command(source, "{trial}") for name, command in _COMMANDS.items()},
        "members": [member["trial"] for member in source.front],
        "sites": list(code.sites),
        "formats": list(code.formats),
        "noise": {str(trial): words for trial, words in apart(source).items()},
        "rows": drawn["rows"],
        "heat": None if heat is None else heat.to_json(),
        "shares": None if heat is None else shares(source, heat),
    }


def still(source: Source) -> str:
    """The scatter without the script, of the metrics it begins with; "" where they have no finite values."""
    x, y = axes(source)

    def finite(values: Mapping[str, Any]) -> bool:
        return all(math.isfinite(float(values.get(metric.name, math.nan))) for metric in (x, y))

    document = source.document
    if not finite(document["baseline"]):
        return ""
    uniform = {name: found for name, found in document["uniform"].items() if finite(found["metrics"])}
    front = [member for member in document["front"] if finite(member["metrics"])]
    trials = [trial.values for trial in source.trials if finite(trial.values) and not trial.is_float]
    finite_only = {**document, "uniform": uniform, "front": front}
    limits = source.objectives.limits
    return front_svg(finite_only, spread(trials, _STILL), x, y, f"{y.name} against {x.name}", limits)


def _stairs(source: Source) -> list[int] | None:
    """The places of the two objectives between which the front is a staircase; None where it isn't."""
    if source.objectives.dimensions != 2:
        return None
    return [source.metrics.index(metric) for metric in source.objectives.metrics]


def _section(name: str, inside: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{_SECTIONS[name]}</h2>{inside}</section>'


def _trade_offs(source: Source, drawn: Mapping[str, Any]) -> str:
    faint = ""
    if drawn["drawn"] < drawn["others"]:
        faint = (
            f"Of {drawn['others']:,} other candidates {drawn['drawn']:,} are drawn, evenly over the run; the "
            "front, the float model and the uniform assignments are all there. "
        )
    keys = {
        "front": "on the front",
        "uniform": "uniform assignments",
        "float": "the float model",
        "dominated": "dominated",
    }
    legend = "".join(
        f'<li><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">{_symbol(name)}</svg>{words}</li>'
        for name, words in keys.items()
    )
    if source.objectives.limits:
        legend += (
            '<li><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">'
            '<circle class="broken" cx="5" cy="5" r="3"/></svg>breaks a limit</li>'
        )
    return _section(
        "trade-offs",
        '<div class="controls" hidden><label>across <select id="axis-x"></select></label>'
        '<label>up <select id="axis-y"></select></label> '
        '<label><input type="checkbox" id="close"> only around the front</label></div>'
        f'<div id="chart"><div class="still">{still(source)}</div>'
        '<div id="tip" role="status" aria-live="polite" hidden></div></div>'
        f'<ul class="key">{legend}</ul>'
        f'<p class="faint">{faint}Point at a candidate to see its formats; click a member of the front, or go '
        'along it with the arrow keys and press Enter, to select it below. <span id="lost"></span></p>',
    )


def _symbol(name: str) -> str:
    if name in ("uniform", "float"):
        return f'<path class="{name}" d="M5 0l5 5l-5 5l-5 -5z"/>'
    return f'<circle class="{name}" cx="5" cy="5" r="4"/>'


def _members(source: Source) -> str:
    words = [
        "Small figures compare with the float model. ★ is the recommended trial. Values are on the search split; "
        "what is measured there is a little too good for the best of many candidates, so trust the test split."
    ]
    if any(words_of for words_of in apart(source).values()):
        words.append("≈ marks a member whose test value can't be told from its neighbour's.")
    knee = source.document["knee"]
    if source.untrainable and knee is not None:
        words.append(f"Members can't be fine-tuned: {source.untrainable}")
    selected = "" if knee is None else _selected(source, knee)
    return selected + front_table(source) + f'<p class="faint">{escape(" ".join(words))}</p>'


def _selected(source: Source, knee: int) -> str:
    """The commands for the member that is selected; the script changes them with it."""
    rows = {"export": "To deploy the selected member: "}
    if not source.untrainable:
        rows["finetune"] = "To fine-tune it: "
    return "".join(
        f'<p class="command">{words}<code id="{name}-command">{escape(_COMMANDS[name](source, knee))}</code> '
        f'<button type="button" class="copy" data-of="{name}-command">copy</button></p>'
        for name, words in rows.items()
    )
