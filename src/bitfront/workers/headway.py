"""Whether a process that starts gets on: one that is stopped or waits for ever takes no processor."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Headway:
    """Follows the processor time of a process, from look to look.

    The clock alone says nothing: reading a model and judging it once may take a second or an hour.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._spent = processor_seconds(process)
        self._moved = time.monotonic()

    def still(self) -> float:
        """Seconds since the first look that found no more processor time than now; 0 where nobody can say."""
        spent, now = processor_seconds(self._process), time.monotonic()
        if spent is None or spent != self._spent:
            self._spent, self._moved = spent, now
        return now - self._moved


def processor_seconds(process: int) -> float | None:
    """Seconds that a process has had of processors, all its threads together; None where the system doesn't say.

    Fields 14 and 15 of /proc/PID/stat (proc_pid_stat(5)), which is there on Linux, for as long as the process is.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
