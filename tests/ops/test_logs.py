"""Logs: JSON lines, rotated, private, without secrets, copied to elsewhere without waiting for it."""

import json
import logging
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest

from passivbot.errors import LiveError
from passivbot.ops.keys import Keys
from passivbot.ops.logs import TRACE, logging_to
from passivbot.ops.redact import MASK, register
from passivbot.ops.remote import RemoteHandler
from tests.disks import mount, unmount
from tests.ops.conftest import BYBIT, KEY, SECRET

log = logging.getLogger("passivbot.test")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_an_object_with_its_facts(tmp_path: Path) -> None:
    file, console = tmp_path / "deep" / "bot.log", StringIO()
    with logging_to(file, console=console):
        log.info("order %s", "placed", extra={"coin": "BTC", "price": 61250.123456789, "name2": None})
        log.warning("careful")
    first, second = lines(file)
    assert {k: first[k] for k in ("level", "logger", "message", "coin", "price")} == {
        "level": "info",
        "logger": "passivbot.test",
        "message": "order placed",
        "coin": "BTC",
        "price": 61250.123456789,
    }
    assert str(first["at"]).endswith("Z")
    assert second["level"] == "warning"
    shown = console.getvalue().splitlines()
    assert shown[0].endswith(" order placed coin=BTC price=61250.12346 name2=None")
    assert " warning: careful" in shown[1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_traceback_stands_in_the_file_alone(tmp_path: Path) -> None:
    file, console = tmp_path / "bot.log", StringIO()
    register([SECRET])
    with logging_to(file, console=console):
        try:
            raise ValueError(f"not with {SECRET}")
        except ValueError:
            log.exception("it broke")
    (line,) = lines(file)
    assert "Traceback" in str(line["error"])
    (shown,) = console.getvalue().splitlines()
    assert "error: it broke: ValueError: not with " in shown
    assert SECRET not in shown


@pytest.mark.parametrize(("level", "seen"), [(0, "w"), (1, "wi"), (2, "wid"), (3, "widt"), (9, "widt")])
def test_levels(tmp_path: Path, level: int, seen: str) -> None:
    file = tmp_path / "bot.log"
    with logging_to(file, level=level, console=None):
        log.warning("w")
        log.info("i")
        log.debug("d")
        log.log(TRACE, "t")
        logging.getLogger("ccxt").info("a library's own affairs")
    assert "".join(str(line["message"]) for line in lines(file)) == seen
    before = file.stat().st_size
    log.warning("after the block nothing is written")
    assert file.stat().st_size == before


def test_files_are_rotated(tmp_path: Path) -> None:
    file = tmp_path / "bot.log"
    with logging_to(file, console=None, max_bytes=2000, kept=3):
        for number in range(200):
            log.info("line %d", number)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["bot.log", "bot.log.1", "bot.log.2", "bot.log.3"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.iterdir())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())
    assert lines(file)[-1]["message"] == "line 199"


def test_no_secret_gets_into_a_log(tmp_path: Path) -> None:
    keys = Keys("bybit_01", BYBIT, "here")
    file, console = tmp_path / "bot.log", StringIO()
    with logging_to(file, console=console):
        log.info("keys %s and %s", keys, keys.credentials())
        log.info("fact", extra={"request": {"secret": SECRET, "deep": [KEY]}})
        try:
            raise RuntimeError(f"bybit GET https://x/?api_key={KEY}&sign=abcdef012345")
        except RuntimeError:
            log.exception("failed")
    text = file.read_text() + console.getvalue()
    assert SECRET not in text
    assert KEY not in text
    assert "abcdef012345" not in text
    assert text.count(MASK) >= 6
    assert "RuntimeError" in text


def test_a_passphrase_of_digits_spoils_no_number(tmp_path: Path) -> None:
    register(["1234567"])
    with logging_to(tmp_path / "bot.log", console=None):
        log.info("x 1234567", extra={"balance": 1234567.5, "qty": float("nan"), "all": ({"1234567": 1},)})
    (line,) = lines(tmp_path / "bot.log")
    assert (line["message"], line["balance"], line["qty"]) == (f"x {MASK}", 1234567.5, "nan")
    assert line["all"] == [{MASK: 1}]


def test_a_log_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LiveError, match="can't be written"), logging_to(tmp_path / "file" / "bot.log"):
        pass


@contextmanager
def collector(fail: int = 0) -> Iterator[tuple[str, list[str]]]:
    """A server that takes newline-delimited JSON, after failing some times."""
    taken: list[str] = []
    left = fail

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal left
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if left:
                left -= 1
                self.send_error(503)
                return
            taken.extend(body.splitlines())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/logs?token=t0ken-t0ken", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_copy_goes_to_a_server(tmp_path: Path) -> None:
    with collector(fail=1) as (url, taken):
        with logging_to(None, console=None, remote=url):
            for number in range(1200):
                log.info("line %d", number)
            deadline = time.monotonic() + 20
            while len(taken) < 1200 and time.monotonic() < deadline:
                time.sleep(0.05)
        assert [json.loads(line)["message"] for line in taken] == [f"line {n}" for n in range(1200)]


def test_a_server_that_answers_nonsense_is_tried_again(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(60)
        handler = RemoteHandler(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        handler.setFormatter(logging.Formatter())
        handler.emit(logging.makeLogRecord({"msg": "hello"}))
        for answer in (b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
            asked, _ = listener.accept()
            with asked:
                text = b""
                while not text.endswith(b"hello\n"):
                    text += asked.recv(4096)
                asked.sendall(answer)
        handler.close()
        assert handler.dropped == 0


def test_a_line_that_can_not_be_made_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        with logging_to(None, console=None, remote=f"syslog://127.0.0.1:{receiver.getsockname()[1]}"):
            log.info("%d orders", "no number")


def test_nobody_waits_for_a_server_that_is_gone(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and never listens
        handler = RemoteHandler(f"http://127.0.0.1:{held.getsockname()[1]}/")
        handler.setFormatter(logging.Formatter())
        for number in range(20_000):
            handler.emit(logging.makeLogRecord({"msg": str(number)}))
        # Whoever waits for the server drops nothing.
        assert handler.dropped >= 9_000
        handler.close()


def test_a_copy_goes_to_syslog() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with logging_to(None, console=None, remote=f"syslog://127.0.0.1:{receiver.getsockname()[1]}"):
            log.info("hello", extra={"coin": "BTC"})
            datagram = receiver.recv(4096).decode()
    priority, _, rest = datagram.partition(">passivbot: ")
    assert priority == "<14"
    assert json.loads(rest)["coin"] == "BTC"


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "syslog://", "https://", "syslog://h:port", "http://[::1/x", "https://h:99999/x"]
)
def test_an_address_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(LiveError, match="allowed is https://HOST/PATH"):
        RemoteHandler(url)


def test_a_full_disk_stops_the_log_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    try:
        with logging_to(disk / "bot.log", console=None):
            for number in range(2000):
                log.info("line %d", number)
            room = disk / "bot.log"
            assert room.stat().st_size >= 60_000
            room.write_text("")
            log.info("there is room again")
        assert "there is room again" in room.read_text()
    finally:
        unmount(disk)
