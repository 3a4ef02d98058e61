"""Files from archive hosts: pooled connections, patience, checksums."""

import asyncio

import aiohttp

from passivbot.errors import CandleError
from passivbot.exchanges.errors import ExchangeFault
from passivbot.exchanges.types import Failure
from passivbot.market.clean import Floats
from passivbot.market.download.archives import Archive, ArchiveFile
from passivbot.market.download.pace import Pace

_TRIES = 3
"""How often a file that came damaged is asked for."""
_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=30, sock_read=60)


class ArchiveHost:
    """Fetches files of one archive.

    Parameters
    ----------
    archive
        Whose files.
    session
        What requests go through.
    pace
        How fast, and how patiently.
    """

    def __init__(self, archive: Archive, session: aiohttp.ClientSession, pace: Pace) -> None:
        self.archive = archive
        self._session = session
        self._pace = pace
        self._down: ExchangeFault | None = None

    async def candles(self, file: ArchiveFile, contract: float = 1.0) -> Floats | None:
        """Return the candles of a file; None: there is no such file.

        Parameters
        ----------
        file
            Which.
        contract
            Coins of a contract.

        Raises
        ------
        CandleError
            It came damaged every time.
        ExchangeFault
            The host can't be reached or refuses.
        """
        for attempt in range(1, _TRIES + 1):
            content = await self._get(file.url)
            if content is None:
                return None
            checksum = await self._get(file.checksum_url) if file.checksum_url else None
            try:
                if checksum is not None:
                    file.verify(content, checksum)
                # Parsing takes long; the other requests shall not wait for it.
                return await asyncio.to_thread(self.archive.read, file, content, contract)
            except CandleError:
                if attempt == _TRIES:
                    raise
        raise AssertionError

    async def files(self, coin: str) -> list[ArchiveFile]:
        """Return all files of a coin's market that is not listed any more, ascending; maybe none.

        Raises
        ------
        ExchangeFault
            The host can't be reached or refuses.
        """
        for symbol in self.archive.symbols(coin):
            content = await self._get(self.archive.index_url(symbol))
            if content and (files := self.archive.index(symbol, content)):
                return files
        return []

    async def _get(self, url: str) -> bytes | None:
        async def question() -> bytes | None:
            try:
                async with self._session.get(url, timeout=_TIMEOUT) as response:
                    if response.status in (403, 404):
                        # What is not in a bucket is forbidden where its list is.
                        return None
                    if response.status == 429:
                        after = response.headers.get("Retry-After", "")
                        seconds = float(after) if after.isdigit() else None
                        raise ExchangeFault(Failure.RATE_LIMIT, f"{url}: too many requests", seconds)
                    if response.status >= 500:
                        raise ExchangeFault(Failure.RETRY, f"{url}: answer {response.status}")
                    if response.status != 200:
                        raise ExchangeFault(Failure.REFUSED, f"{url}: answer {response.status}")
                    return await response.read()
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                raise ExchangeFault(Failure.RETRY, f"{url}: {type(error).__name__} {error}") from error

        if self._down is not None:
            # It did not answer however long it was asked; the next file need not find that out again.
            raise self._down
        try:
            return await self._pace.ask(question)
        except ExchangeFault as fault:
            if fault.failure is not Failure.REFUSED:
                self._down = fault
            raise
