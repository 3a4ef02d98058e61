"""Candles that are too large for the object store: Arrow files that every worker of a machine maps.

The head's machine writes them into its cache, named by their hash, and puts them where all machines reach:
any place that ``pyarrow.fs`` knows. Each machine fetches them once, into its own cache; its workers wait for
the one that fetches. What is mapped is in memory once a machine too, and may be dropped and read again.
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.fs
from numpy.typing import NDArray

from cluster.candles import panel_bytes
from cluster.display import megabytes
from cluster.fingerprint import cache_folder
from passivbot.disk import PART, part_of, settle
from passivbot.errors import CandleError, ResourceError
from passivbot.market.files import locked, make_folder, unwritable
from passivbot.study.place import file_system

KEPT_SECONDS = 30 * 86_400.0
"""After that long without use a panel is removed from a machine's cache."""

FETCH_BYTES_SECOND = 5_000_000
"""Slowest fetch that is waited for."""

_CHUNK = 16_000_000
_BTC = "btc_usd"
_ATTEMPTS = 2


@dataclass(frozen=True)
class SharedFile:
    """One file that every machine may have: named by the hash of its bytes.

    Attributes
    ----------
    digest, size
        SHA-256 in hexadecimal, bytes.
    store
        Place that it can be fetched from, ``None`` if it is only on the machine that wrote it.
    """

    digest: str
    size: int
    store: str | None

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.digest[:32]}.arrow"

    def fetch(self) -> Path:
        """Return the file in this machine's cache, fetched if it is not there.

        Raises
        ------
        CandleError
            It is nowhere, is damaged, or the cache can't be written.
        ResourceError
            The disk is full.
        """
        folder = _folder()
        path = folder / self.name
        with locked(folder):
            if not _has(path, self.size):
                if self.store is None:
                    raise CandleError(
                        f"{path}: is missing, and no place to fetch it from was given (--panels)"
                    )
                self._download(path, self.store)
            os.utime(path)
        return path

    def _download(self, path: Path, store: str) -> None:
        for _ in range(_ATTEMPTS):
            with _part_of(path) as part, part.open("wb") as file:
                try:
                    system, place = file_system(store)
                    with system.open_input_stream(f"{place}/{self.name}") as source:
                        found = _copy(source, file)
                except (OSError, pa.ArrowException) as error:
                    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    raise CandleError(f"{store}/{self.name}: can't be fetched ({error})") from None
                if found == (self.digest, self.size):
                    file.flush()
                    settle(part, path)
                    return
        raise CandleError(
            f"{store}/{self.name}: is damaged: {found[1]:,} bytes of SHA-256 {found[0][:16]}…, "
            f"not {self.size:,} of {self.digest[:16]}…"
        )


@dataclass(frozen=True)
class MappedCandles:
    """The panel and the BTC prices as files; small, so it travels to the workers itself.

    Attributes
    ----------
    table, btc_usd, prepared
        Files of the panel, of the BTC/USD closes (None without BTC collateral) and of the engine's tables.
    nbytes
        Size of all in memory.
    """

    table: SharedFile
    btc_usd: SharedFile | None
    prepared: SharedFile
    nbytes: int

    @classmethod
    def place(
        cls, table: pa.Table, btc_usd: NDArray[np.float64] | None, prepared: pa.Table, store: str | None
    ) -> Self:
        """Write the candles and their tables into this machine's cache, and to ``store`` for the others.

        Raises
        ------
        CandleError, ResourceError
            One of them can't be written.
        """
        prices = None if btc_usd is None else pa.table({_BTC: btc_usd})
        return cls(
            table=_share(table, store),
            btc_usd=None if prices is None else _share(prices, store),
            prepared=_share(prepared, store),
            nbytes=panel_bytes(table, btc_usd) + int(prepared.nbytes),
        )

    def read(self) -> tuple[pa.Table, NDArray[np.float64] | None, pa.Table]:
        """Return panel, BTC prices and tables as views of the machine's files."""
        btc_usd = None if self.btc_usd is None else _map(self.btc_usd).column(_BTC).chunk(0).to_numpy()
        return _map(self.table), btc_usd, _map(self.prepared)


def require_place(store: str) -> None:
    """Refuse a place that can't be written.

    Raises
    ------
    CandleError
        Says why.
    """
    try:
        system, place = file_system(store)
        system.create_dir(place, recursive=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CandleError(f"--panels {store}: can't be written ({error})") from None


def _share(table: pa.Table, store: str | None) -> SharedFile:
    """Write a table into the cache and copy it to the store, each unless it is there."""
    folder = _folder()
    with locked(folder):
        _prune(folder)
        with _part_of(folder / "new.arrow") as part:
            with part.open("wb") as file:
                _write(table, file)
            with part.open("rb") as file:
                digest, size = _copy(file, None)
            shared = SharedFile(digest, size, store)
            path = folder / shared.name
            settle(part, path)
    if store is not None:
        _upload(path, shared, store)
    return shared


def _write(table: pa.Table, file: BinaryIO) -> None:
    # One chunk a column, as the engine reads it.
    table = table.combine_chunks()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _upload(path: Path, shared: SharedFile, store: str) -> None:
    try:
        system, place = file_system(store)
        target = f"{place}/{shared.name}"
        if system.get_file_info(target).size == shared.size:
            return
        system.create_dir(place, recursive=True)
        # An object appears when it is complete; a file of a disk, when it is renamed.
        local = isinstance(system, pa.fs.LocalFileSystem)
        written = f"{target}.{secrets.token_hex(4)}{PART}" if local else target
        try:
            with path.open("rb") as source, system.open_output_stream(written) as sink:
                _copy(source, sink)
            if local:
                system.move(written, target)
        except BaseException:
            if local:  # on a full disk it would keep what is left of it
                with suppress(OSError):
                    system.delete_file(written)
            raise
    except (OSError, pa.ArrowException) as error:
        raise CandleError(f"--panels {store}: can't be written ({error})") from None


def _map(shared: SharedFile) -> pa.Table:
    path = shared.fetch()
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _folder() -> Path:
    folder = cache_folder() / "panels"
    make_folder(folder)
    return folder


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to, and what fails in the store's words."""
    try:
        with part_of(path) as part:
            yield part
    except OSError as error:
        raise unwritable(path, error) from None


def _copy(source: Any, sink: Any) -> tuple[str, int]:
    """Copy to the end; return SHA-256 and number of bytes."""
    digest, size = hashlib.sha256(), 0
    while data := source.read(_CHUNK):
        digest.update(data)
        size += len(data)
        if sink is not None:
            sink.write(data)
    return digest.hexdigest(), size


def _prune(folder: Path) -> None:
    """Remove what no study has used for long."""
    oldest = time.time() - KEPT_SECONDS
    for path in folder.glob("*.arrow"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def require_disk(size: int) -> None:
    """Refuse candles for which this machine's cache has no room.

    Raises
    ------
    ResourceError
        With both figures.
    """
    folder = _folder()
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < size:
        raise ResourceError(f"{folder}: the candles take {megabytes(size)}; {megabytes(free)} are free there")
