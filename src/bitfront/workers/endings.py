"""Why a process ended, in words."""

from __future__ import annotations

import signal
from pathlib import Path

_COUNTER = "oom_kill "


def ending(code: int, kills_before: int | None) -> str:
    """What to say of a process with this return code, negative where a signal ended it.

    `kills_before` is what `kills_for_memory` gave when it was started.

    >>> ending(3, None)
    'its process exited with code 3'
    >>> ending(-11, None)
    'SIGSEGV ended its process'
    """
    if code >= 0:
        return f"its process exited with code {code}"
    name = _name(-code)
    if name != "SIGKILL":
        return f"{name} ended its process"
    now = kills_for_memory()
    if now is not None and kills_before is not None and now > kills_before:
        return "out of memory: the kernel ended its process (SIGKILL)"
    return "SIGKILL ended its process"


def kills_for_memory() -> int | None:
    """How many processes the kernel has killed because memory ran out; None where it doesn't say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.removeprefix(_COUNTER)) for line in lines if line.startswith(_COUNTER)), None)


def out_of_memory(reason: str) -> bool:
    """Whether the reason of a failure is that an allocation was refused.

    >>> out_of_memory("RuntimeError: DefaultCPUAllocator: can't allocate memory")
    True
    """
    return any(sign in reason for sign in _REFUSED)


# What Python, NumPy, torch's allocator, the C++ library, oneDNN and CUDA say.
_REFUSED = (
    "MemoryError",
    "Unable to allocate",
    "can't allocate memory",
    "bad_alloc",
    "Cannot allocate memory",
    "out of memory",
)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
