"""PNGs of the pictures: at print resolution, on white, with their words."""

import importlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from bitfront.errors import InputError
from bitfront.report import raster
from bitfront.report.figures import figures
from bitfront.report.raster import rasterizer
from tests.report.pages import Made

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 48" width="96" height="48">{}</svg>'
WORDS = '<text x="4" y="30" font-family="system-ui,sans-serif" font-size="20">Words</text>'


@pytest.fixture
def rasterize() -> Any:
    pytest.importorskip("resvg_py", reason="resvg-py isn't installed")
    try:
        return rasterizer()
    except InputError as error:
        pytest.skip(str(error))


def chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and contents of each chunk, its checksum tried."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(image):
        (length,) = struct.unpack(">I", image[at : at + 4])
        name, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", image[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(name + data)
        yield name, data
        at += 12 + length


def pixels(image: bytes) -> list[tuple[int, ...]]:
    """Every pixel, as red, green, blue and opacity (filters of the PNG specification, 9.2)."""
    found = dict(chunks(image))
    width, height = struct.unpack(">II", found[b"IHDR"][:8])
    assert found[b"IHDR"][8:] == bytes((8, 6, 0, 0, 0))
    raw = zlib.decompress(b"".join(data for name, data in chunks(image) if name == b"IDAT"))
    above, pitch, all_pixels = bytes(4 * width), 4 * width, []
    for row in range(height):
        kind, line = raw[row * (pitch + 1)], bytearray(raw[row * (pitch + 1) + 1 : (row + 1) * (pitch + 1)])
        for n in range(pitch):
            left = line[n - 4] if n >= 4 else 0
            corner = above[n - 4] if n >= 4 else 0
            guess = left + above[n] - corner
            near = min((left, above[n], corner), key=lambda value: abs(guess - value))
            line[n] = (line[n] + (0, left, above[n], (left + above[n]) // 2, near)[kind]) % 256
        all_pixels += [tuple(line[n : n + 4]) for n in range(0, pitch, 4)]
        above = bytes(line)
    return all_pixels


def test_an_inch_has_300_dots(rasterize: Any) -> None:
    found = dict(chunks(rasterize(SVG.format(WORDS))))
    assert struct.unpack(">II", found[b"IHDR"][:8]) == (300, 150)
    assert struct.unpack(">IIB", found[b"pHYs"]) == (11811, 11811, 1)


def test_words_are_drawn_on_white(rasterize: Any) -> None:
    empty = pixels(rasterize(SVG.format("")))
    assert set(empty) == {(255, 255, 255, 255)}
    written = pixels(rasterize(SVG.format(WORDS)))
    assert len({pixel[3] for pixel in written}) == 1
    assert (0, 0, 0, 255) in written


def test_every_picture_of_a_run_is_drawn_with_its_words(rasterize: Any) -> None:
    for name, svg in figures(Made(trials=70).source()).items():
        assert rasterize(svg) != rasterize(svg.replace("<text", "<desc").replace("</text", "</desc")), name


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr(importlib, "import_module", gone)
    with pytest.raises(InputError, match=r"pip install 'bitfront\[figures\]'"):
        rasterizer()


def test_without_fonts_nothing_is_drawn_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "_resvg", lambda: lambda **options: b"the same whatever is written")
    with pytest.raises(InputError, match="No font was found"):
        rasterizer()
