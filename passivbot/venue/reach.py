"""How a client reaches a venue: names that only it answers for, and an authority that only it has."""

import socket
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult


@dataclass(frozen=True)
class Address:
    """A venue as another process reaches it; plain data, so it can be sent there.

    Parameters
    ----------
    hosts
        Names that it answers for.
    port
        On loopback.
    authority
        Certificate of its authority, PEM.
    """

    hosts: frozenset[str]
    port: int
    authority: str

    def session(self, **settings: object) -> aiohttp.ClientSession:
        """Return a client session that reaches this venue and nothing else."""
        tls = ssl.create_default_context(cadata=self.authority)
        connector = aiohttp.TCPConnector(ssl=tls, resolver=_Resolver(self.hosts, self.port))
        return aiohttp.ClientSession(connector=connector, **settings)  # type: ignore[arg-type]


class _Resolver(AbstractResolver):
    """Knows the venue's host names and no other."""

    def __init__(self, hosts: frozenset[str], port: int) -> None:
        self._hosts = hosts
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._hosts:
            raise OSError(f"the loopback venue does not stand in for {host}")
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""
