"""The page beside a running study: a process of its own, started when somebody looks.

The study's process only listens. At the first connection it starts the server, which inherits the socket and
answers what waits in it: a study at which nobody looks pays nothing. The server ends with the process that
started it, however that ends: it then reads the end of its standard input.
"""

import asyncio
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from passivbot.study.serve.server import address, listen, serve

_CHECK_SECONDS = 0.5


class Beside:
    """Serves the page of one study from another process, until :meth:`close`.

    Parameters
    ----------
    folder
        Of the study.
    port
        As :func:`.server.listen` takes it.

    Raises
    ------
    ResourceError
        The port is taken.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder
        self._listener = listen(port)
        self.address = address(self._listener)
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the server, if one was started, and free the port."""
        self._closing.set()
        self._thread.join()
        if self._process is not None:
            self._end(self._process)
        self._listener.close()

    def _watch(self) -> None:
        while not self._closing.is_set():
            if self._process is not None and self._process.poll() is None:
                self._closing.wait(_CHECK_SECONDS)
                continue
            ready, _, _ = select.select([self._listener], [], [], _CHECK_SECONDS)
            if ready and not self._closing.is_set():
                with suppress(OSError):  # no process can be started: the study is more important
                    self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        return subprocess.Popen(
            [sys.executable, "-m", "passivbot.study.serve", str(descriptor), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C is for the study
        )

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(descriptor: int, folder: Path) -> None:
    """Serve the page of a study on an inherited socket until standard input ends."""
    from passivbot.study.serve.desk import Desk
    from passivbot.study.serve.site import Site

    with suppress(OSError):
        os.nice(10)
    listener = socket.socket(fileno=descriptor)
    site = Site(Desk(folders=[folder]))

    async def orphaned() -> None:
        # In a thread of its own that dies with the process: a read that waits would keep a pool from ending.
        ended, loop = asyncio.Event(), asyncio.get_running_loop()

        def wait() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=wait, daemon=True).start()
        await ended.wait()

    asyncio.run(serve(site, listener, orphaned))
