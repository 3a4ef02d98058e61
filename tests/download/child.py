"""A download in a process of its own, to be killed: ``python -m tests.download.child PORT CA STORE …``."""

import asyncio
import socket
import ssl
import sys
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from passivbot.market.download.run import download
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


def main(port: str, authority: str, root: str, exchanges: str, coins: str, begin: str, end: str) -> int:
    tls = ssl.create_default_context(cafile=authority)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, resolver=Loopback(int(port))))

    wanted = request(exchanges.split(","), coins.split(","), int(begin), int(end))
    store = Store.open(Path(root), create=True)
    report = asyncio.run(download(wanted, store, Heard(), sessions=session, patience=QUICK, rate_limit_ms=1))
    return len(report.missing)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
