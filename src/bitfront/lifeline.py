"""A pipe by which a process notices that the one which started it is gone, however that ended.

The one that starts it keeps the end that is written to, and never writes. The system closes that end with its
owner, be it by SIGKILL, and then the other end can be read: there is nothing more to come.
"""

from __future__ import annotations

import os
import threading


def end_with(descriptor: int) -> None:
    """End this process at once when nobody has the other end of the pipe any more, whatever it is doing then."""
    threading.Thread(target=_wait, args=(descriptor,), daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(1)  # nothing is cleaned up or written: nobody is left to want it
