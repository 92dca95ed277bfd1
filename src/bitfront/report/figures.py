"""The page's pictures as files of their own, as papers want them: light, on white."""

from __future__ import annotations

import re

from bitfront.report.page import still
from bitfront.report.page_finetuned import finetuned_svg
from bitfront.report.page_layers import heat_of
from bitfront.report.page_lessons import lessons
from bitfront.report.page_search import progress_svg
from bitfront.report.page_source import Source
from bitfront.report.page_why import agreement_svg, sensitivity_svg

_DARK = re.compile(r"@media\(prefers-color-scheme:dark\)\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_STYLE_END = "</style>"


def figures(source: Source) -> dict[str, str]:
    """Each picture of the page as an SVG, by its name without a suffix.

    What would follow the reader's dark scheme is taken out, and white is laid under it.
    """
    heat = heat_of(source)
    found = {
        "front": still(source),
        "bits": heat.svg() if heat else None,
        "progress": progress_svg(source),
    }
    found["finetuned"] = finetuned_svg(source)
    for lesson in lessons(source):
        found[f"sensitivity-{lesson.metric.name}"] = sensitivity_svg(lesson)
        found[f"prediction-{lesson.metric.name}"] = agreement_svg(lesson)
    return {name: on_white(svg) for name, svg in found.items() if svg}


def on_white(svg: str) -> str:
    """A picture in its light colours alone, with white under it.

    >>> on_white("<svg><style>a{b:c}@media(prefers-color-scheme:dark){a{b:d}}</style></svg>")
    '<svg><style>a{b:c}</style><rect width="100%" height="100%" fill="#fff"/></svg>'
    """
    light = _DARK.sub("", svg)
    return light.replace(_STYLE_END, f'{_STYLE_END}<rect width="100%" height="100%" fill="#fff"/>', 1)
