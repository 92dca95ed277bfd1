"""A headless Chromium that is told what to do through a pipe, in the DevTools protocol."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the page in")

_PATIENCE = 120  # seconds


class Browser:
    """One tab. `complaints` are errors of the console, `requests` addresses that were asked for."""

    def __init__(self, to: FileIO, back: FileIO) -> None:
        self._to, self._back = to, back
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """What the browser answers."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self._noted(answer)

    def open(self, page: Path, fragment: str = "", width: int = 1280, dark: bool = False) -> None:
        """Load a file from the start, and wait until its script is done."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.send("Page.navigate", url="about:blank")
        self.requests.clear()
        self.complaints.clear()
        self.send("Page.navigate", url=f"{page.resolve().as_uri()}{fragment}")
        self.run(
            "new Promise(r => document.readyState === 'complete' ? r() : addEventListener('load', () => r()))"
        )

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """What is seen, or the whole page, as a PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))

    def key(self, name: str) -> None:
        """A key, pressed and let go."""
        code = {"Enter": 13, "ArrowRight": 39, "ArrowLeft": 37, "Tab": 9}[name]
        words = {"text": "\r"} if name == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=name, windowsVirtualKeyCode=code, **words)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    def move(self, x: float, y: float) -> None:
        """The mouse, to a place of the window."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = self._back.read(1 << 16)
            assert read, "the browser went away"
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def _noted(self, event: dict[str, Any]) -> None:
        found = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(found["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if found["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(found["args"]))
            case "Log.entryAdded":
                self.complaints.append(f"{found['entry']['level']}: {found['entry']['text']}")
            case "Network.requestWillBeSent":
                self.requests.append(found["request"]["url"])
            case _:
                pass


def _pipe() -> tuple[int, int]:
    """The ends of a pipe, clear of descriptors 3 and 4."""
    ends = os.pipe()
    high = fcntl.fcntl(ends[0], fcntl.F_DUPFD, 10), fcntl.fcntl(ends[1], fcntl.F_DUPFD, 10)
    for end in ends:
        os.close(end)
    for end in high:
        os.set_inheritable(end, False)
    return high


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    assert CHROMIUM is not None
    to_read, to_write = _pipe()
    back_read, back_write = _pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        # The protocol is spoken on descriptors 3 and 4.
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{back_write} {to_read}<&- {back_write}>&-'
        process = subprocess.Popen(
            ["bash", "-c", shell, CHROMIUM, *words, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(to_read, back_write),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(back_write)
        with os.fdopen(to_write, "wb", buffering=0) as to, os.fdopen(back_read, "rb", buffering=0) as back:
            try:
                yield Browser(to, back)
            finally:
                process.terminate()
                process.wait(_PATIENCE)
