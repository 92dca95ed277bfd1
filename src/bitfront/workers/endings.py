"""Why a process ended, in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

_COUNTER = "oom_kill "


@dataclass(frozen=True)
class Ending:
    """A reason; `innocent` where somebody else, the machine or the network is it, and not what the process did."""

    reason: str
    innocent: bool = False


def ending(code: int, kills_before: int | None) -> Ending:
    """What to say of a process with this return code, negative where a signal ended it.

    `kills_before` is what `kills_for_memory` gave when it was started.

    Nobody gets SIGKILL by accident: where the kernel counts those that it sends for lack of memory, and this isn't
    one, somebody else sent it.

    >>> ending(3, None)
    Ending(reason='its process exited with code 3', innocent=False)
    >>> ending(-11, None)
    Ending(reason='SIGSEGV ended its process', innocent=False)
    """
    if code >= 0:
        return Ending(f"its process exited with code {code}")
    name = _name(-code)
    if name != "SIGKILL":
        return Ending(f"{name} ended its process")
    now = kills_for_memory()
    if now is None or kills_before is None:
        return Ending("SIGKILL ended its process")
    if now > kills_before:
        return Ending("out of memory: the kernel ended its process (SIGKILL)")
    return Ending("SIGKILL ended its process", innocent=True)


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
