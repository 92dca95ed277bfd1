from __future__ import annotations

from pathlib import Path

import pytest

from bitfront.latency.machine import flags, saturates


def test_the_flags_of_a_processor_file(tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni sse\n", encoding="utf-8")
    assert flags(listing) == ("avx2", "avx512f", "avx512_vnni")
    listing.write_text("Features\t: fp asimd asimddp i8mm\n", encoding="utf-8")
    assert flags(listing) == ("asimddp", "i8mm")
    assert flags(tmp_path / "absent") == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (("avx2",), True),
        (("avx2", "avx512f"), True),
        (("avx2", "avx_vnni"), False),
        (("asimddp",), False),
        ((), False),
    ],
)
def test_bytes_saturate_on_x86_without_vnni(found: tuple[str, ...], expected: bool) -> None:
    assert saturates(found) == expected
