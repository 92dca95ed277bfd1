"""A process that works gets on; one that waits does not."""

import os
import signal
import subprocess
import sys
import time

from bitfront.workers.headway import Headway, processor_seconds


def used(seconds: float) -> None:
    """Takes so much of a processor."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_whoever_computes_gets_on() -> None:
    headway = Headway(os.getpid())
    time.sleep(0.05)
    used(0.05)
    assert headway.still() == 0


def test_whoever_is_stopped_stands_still() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) as process:
        try:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            headway = Headway(process.pid)
            time.sleep(0.1)
            assert headway.still() >= 0.1
            process.send_signal(signal.SIGCONT)
            before = processor_seconds(process.pid)
            while processor_seconds(process.pid) == before:
                time.sleep(0.01)
            assert headway.still() == 0
        finally:
            process.kill()


def test_a_process_that_is_gone_says_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-S", "-c", ""])
    done.wait()
    assert processor_seconds(done.pid) is None
    assert Headway(done.pid).still() == 0
