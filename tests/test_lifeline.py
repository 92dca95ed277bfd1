"""A process ends when the other end of its pipe is closed, and not before."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = "import sys, time; from bitfront.lifeline import end_with; end_with(int(sys.argv[1])); \
print('listening', flush=True); {then}"


def test_it_ends_when_the_other_end_is_closed() -> None:
    listening, lifeline = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(then="time.sleep(120)"), str(listening)],
        pass_fds=[listening],
        stdout=subprocess.PIPE,
    )
    os.close(listening)
    assert process.stdout is not None
    assert process.stdout.readline() == b"listening\n"
    assert process.poll() is None
    os.close(lifeline)
    try:
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.stdout.close()


def test_it_keeps_no_process_from_ending_by_itself() -> None:
    listening, lifeline = os.pipe()
    command = [sys.executable, "-c", CODE.format(then="sys.exit(5)"), str(listening)]
    done = subprocess.run(command, pass_fds=[listening], capture_output=True, timeout=60, check=False)
    os.close(listening)
    os.close(lifeline)
    assert (done.returncode, done.stderr) == (5, b"")
