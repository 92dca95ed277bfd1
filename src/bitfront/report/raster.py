"""SVG to PNG at print resolution, by resvg."""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from bitfront.errors import InputError

DOTS_PER_INCH = 300
_SCREEN = 96  # of an SVG's pixels in an inch, by CSS
_METRES = 0.0254  # in an inch
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = len(_SIGNATURE) + 4 + 4 + 13 + 4  # the first chunk: length, name, 13 bytes, checksum
# Text in a family that isn't there is silently not drawn, so one is chosen that is.
FAMILIES = (
    "Arial",
    "Helvetica",
    "Liberation Sans",
    "DejaVu Sans",
    "Noto Sans",
    "Segoe UI",
    "Roboto",
    "Open Sans",
    "Ubuntu",
    "Cantarell",
    "FreeSans",
    "Verdana",
)

Draw = Callable[..., bytes]


def rasterizer() -> Callable[[str], bytes]:
    """What makes of an SVG a PNG of 300 dots per inch, on white.

    Raises:
        InputError: resvg-py isn't installed, or no font is, without which words would be missing.
    """
    draw = _resvg()
    family = _family(draw)

    def rasterize(svg: str) -> bytes:
        image = draw(
            svg_string=svg, sans_serif_family=family, background="#ffffff", zoom=DOTS_PER_INCH / _SCREEN
        )
        return with_resolution(image, DOTS_PER_INCH)

    return rasterize


def with_resolution(image: bytes, dots_per_inch: float) -> bytes:
    """A PNG that also says how large it is meant to be printed, in the chunk pHYs of the PNG specification
    (third edition, 11.3.4.3)."""
    per_metre = round(dots_per_inch / _METRES)
    chunk = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return image[:_HEADER_END] + whole + image[_HEADER_END:]


def _resvg() -> Draw:
    try:
        package: Any = importlib.import_module("resvg_py")
    except ImportError as error:
        raise InputError(
            "PNGs are drawn by resvg-py, which isn't installed: pip install 'bitfront[figures]' brings it. "
            "Without it, --format svg writes the same pictures."
        ) from error
    return package.svg_to_bytes


@cache
def _family(draw: Draw) -> str:
    """A family that is there."""
    empty = draw(svg_string=_probe(""))
    for family in FAMILIES:
        if draw(svg_string=_probe("bitfront"), sans_serif_family=family) != empty:
            return family
    raise InputError(
        f"No font was found here to draw words with, of {', '.join(FAMILIES)}: install one, such as the package "
        "fonts-dejavu-core of Debian and Ubuntu. --format svg needs none."
    )


def _probe(words: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 20" width="80" height="20">'
        f'<text x="4" y="14" font-family="sans-serif" font-size="12">{words}</text></svg>'
    )
