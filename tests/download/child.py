"""A download in a process of its own, to be killed.

``python -m tests.download.child PORT CA STORE EXCHANGES COINS BEGIN END``, or ``… PORT CA command WORDS…``
for the program as a person types it.
"""

import asyncio
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from passivbot.cli import main as program
from passivbot.market.download import run
from passivbot.market.store import Store
from tests.download.harness import QUICK, Heard, request


class Loopback(AbstractResolver):
    """Every name is this machine; only the venue's authority is trusted."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def main(port: str, authority: str, *words: str) -> int:
    tls = ssl.create_default_context(cafile=authority)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, resolver=Loopback(int(port))))

    if words[0] == "command":
        run.plain_session = session
        return program.main(words[1:])
    root, exchanges, coins, begin, end = words
    wanted = request(exchanges.split(","), coins.split(","), int(begin), int(end))
    store = Store.open(Path(root), create=True)
    report = asyncio.run(
        run.download(wanted, store, Heard(), sessions=session, patience=QUICK, rate_limit_ms=1)
    )
    return len(report.missing)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
