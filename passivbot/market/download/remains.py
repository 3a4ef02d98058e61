"""The download of a market that its exchange does not list any more: all that is left are published files.

There is no API to ask, so the archive's index is the truth: what no published file has is nowhere.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passivbot.errors import CandleError
from passivbot.exchanges.errors import ExchangeFault
from passivbot.market.download.archives import ArchiveFile
from passivbot.market.download.target import NONE, Missing, Target, without
from passivbot.market.download.web import ArchiveHost
from passivbot.market.spans import Span, runs, union, within


@dataclass
class Remains:
    """One market that is gone.

    Parameters
    ----------
    target
        Where candles go.
    host
        Whose files.
    files
        All that the archive has of the market, from its index, ascending.
    published_ms
        Whatever there is of the time before it has been published.
    """

    target: Target
    host: ArchiveHost
    files: Sequence[ArchiveFile]
    published_ms: int

    @property
    def source(self) -> str:
        """As the store names it."""
        return "archive" if self.host.archive.kind == "candles" else "archive of trades"

    async def run(self) -> list[Missing]:
        """Fetch what is missing; return what could not be; the errors are those of :meth:`Job.run`."""
        target = self.target
        missing = await target.missing()
        last = self.files[-1].span
        target.note(f"not listed any more; published files of it go from {self.files[0].span} to {last}")
        damaged: list[Span] = []
        if missing:
            needed = [file for file in self.files if within(file.span, missing)]
            try:
                async with asyncio.TaskGroup() as group:
                    for file in needed:
                        group.create_task(self._take(file, missing, damaged))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            known = Span(target.wanted.begin_ms, min(target.wanted.end_ms, self.published_ms))
            left = within(known, await target.missing())
            await target.write(NONE, without(left, damaged), self.source)
        target.told.finished(target.exchange, target.coin)
        return [
            Missing(
                target.exchange, target.coin, span, "not listed any more, and no file of it published yet"
            )
            for span in (await target.missing() if missing else ())
        ]

    async def _take(self, file: ArchiveFile, missing: Sequence[Span], damaged: list[Span]) -> None:
        try:
            rows = await self.host.candles(file)
        except (CandleError, ExchangeFault) as error:
            self.target.note(f"archive: {error}")
            rows = None
        if rows is None:
            damaged.append(file.span)
            return
        spans = union(part for run in runs(rows[:, 0].astype(np.int64)) for part in within(run, missing))
        await self.target.write(rows, spans, self.source)
