"""optuna-dashboard on a mirror, on this machine alone, kept up with the run while it goes on."""

from __future__ import annotations

import importlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bitfront import log
from bitfront.dashboard.mirror import storage_of, write_mirror
from bitfront.dashboard.source import read_source
from bitfront.errors import BitfrontError, InputError
from bitfront.results import FRONT

HOST = "127.0.0.1"  # the dashboard has no login, and whoever reaches it may change the mirror
_POLL = 2.0  # seconds between looks at the log
_PATIENCE = 5  # looks that may fail: a run that begins has a log before it has a manifest


def require_dashboard() -> Any:
    """The package; InputError, with the command that helps, where it isn't installed."""
    try:
        return importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise InputError(
            f"The dashboard needs the package optuna-dashboard ({error}): pip install 'bitfront[dashboard]'. "
            "Without it, --export FILE writes the file that any Optuna tool opens."
        ) from error


class Server:
    """The dashboard at `url`, from the moment it is made; `serve` answers until it is closed or Ctrl-C.

    Raises:
        InputError: optuna-dashboard isn't installed, or the port can't be had.
    """

    def __init__(self, mirror: Path, port: int) -> None:
        self._library, self._mirror = require_dashboard(), mirror
        self._storage = storage_of(mirror)
        try:
            application = self._library.wsgi(self._storage)
            self._server = make_server(HOST, port, application, _Threads, _Silent)
        except OSError as error:
            self._storage.engine.dispose()
            raise InputError(
                f"Port {port} can't be listened on ({error.strerror}). Another one can be given with --port; "
                "--port 0 takes a free one."
            ) from error
        self.url = f"http://{HOST}:{self._server.server_port}/"

    def serve(self) -> None:
        """Answer requests until `close`, or Ctrl-C."""
        self._server.serve_forever(poll_interval=0.2)

    def renew(self) -> None:
        """Forget what was read of the mirror: optuna-dashboard reads finished trials once, and these changed."""
        old, self._storage = self._storage, storage_of(self._mirror)
        self._server.set_app(self._library.wsgi(self._storage))
        old.remove_session()
        old.engine.dispose()

    def close(self) -> None:
        """End `serve`, wherever it runs, and let go of the port and the file."""
        self._server.server_close()
        self._storage.remove_session()
        self._storage.engine.dispose()

    def stop(self) -> None:
        """Let `serve` return, when it runs in another thread."""
        self._server.shutdown()


class _Threads(ThreadingMixIn, WSGIServer):
    """A browser keeps several connections open: each request has its own thread."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Without the name of the machine, for which a name server would be asked."""
        socket_name = self.server_address
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(socket_name)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, int(self.server_address[1])
        self.setup_environ()


class _Silent(WSGIRequestHandler):
    """Requests are nobody's news."""

    def log_message(self, format: str, *args: Any) -> None:
        return


class Follower:
    """Keeps the mirror up with a run that goes on, in a thread of its own, between entering and leaving it.

    What goes wrong is told to `say` once, and ends the following. Where the mirror isn't only longer than it was,
    `renew` is called. A run that is begun anew in the place of another has its log before it has its manifest, and
    its mirror is then made twice.
    """

    def __init__(
        self,
        run: Path,
        mirror: Path,
        say: Callable[[str], None],
        renew: Callable[[], None] = lambda: None,
        poll: float = _POLL,
    ) -> None:
        self._run, self._mirror, self._say, self._renew, self._poll = run, mirror, say, renew, poll
        self._over = threading.Event()
        self._seen: list[tuple[int, int]] = []  # whatever came since the mirror was made is looked at first
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._over.set()
        self._thread.join()

    def _state(self) -> list[tuple[int, int]]:
        """Sizes and times of the files that the mirror is made from; none of those that aren't there."""
        files = [self._run / log.NAME, self._run / FRONT]
        stats = [path.stat() for path in files if path.exists()]
        return [(stat.st_size, stat.st_mtime_ns) for stat in stats]

    def _follow(self) -> None:
        failed = 0  # looks in a row
        begun = ""  # how the run began that was said to be another
        while not self._over.wait(self._poll):
            try:
                state = self._state()
                if state == self._seen or not (self._run / log.NAME).exists():
                    continue  # a run that was deleted may be begun anew
                source = read_source(self._run)
                written = write_mirror(source, self._mirror)
                self._seen, failed = state, 0
            except (BitfrontError, OSError) as error:
                failed += 1
                if failed < _PATIENCE:
                    continue
                self._say(f"The dashboard no longer follows the run: {error}")
                return
            if written.rebuilt or written.widened:
                self._renew()
            if written.rebuilt:
                before, begun = begun, repr(source.trials[0])
                if begun != before:
                    self._say("The run was begun anew: load the page again to see it.")
