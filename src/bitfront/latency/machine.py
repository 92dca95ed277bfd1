"""What of the processor matters to integer kernels."""

from __future__ import annotations

from pathlib import Path

_VNNI = {"avx512_vnni", "avx_vnni", "avx_vnni_int8"}
_SHOWN = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def flags(path: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """The processor's features that integer kernels use; empty where the system doesn't say."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    listed = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    present = set(listed.partition(":")[2].split())
    return tuple(name for name in _SHOWN if name in present)


def saturates(found: tuple[str, ...]) -> bool:
    """Whether products of unsigned and signed bytes may saturate at 16 bits: x86 without VNNI does that."""
    return "avx2" in found and not _VNNI & set(found)
