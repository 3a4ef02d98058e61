"""Places for files: a folder of this machine, or whatever else pyarrow reaches by a URI."""

from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from passivbot.disk import part_of, settle
from passivbot.errors import StudyError, first_line


def file_system(place: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a place and the path in it; raises what pyarrow raises."""
    if "://" in place:
        system, path = pafs.FileSystem.from_uri(place)
    else:
        system, path = pafs.LocalFileSystem(), str(Path(place).absolute())
    return system, path.rstrip("/")


class Place:
    """A folder of a file system, given as URI or path.

    Raises
    ------
    StudyError
        The URI is none that pyarrow knows.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        try:
            self._system, self._root = file_system(uri)
        except (pa.ArrowInvalid, ValueError, OSError) as error:
            raise StudyError(f"{uri}: not a place for a mirror: {first_line(error)}") from error
        self._local = isinstance(self._system, pafs.LocalFileSystem)

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file whole or not at all."""
        path = f"{self._root}/{name}"
        if self._local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with part_of(Path(path)) as part:
                part.write_bytes(content)
                settle(part, Path(path))
            return
        # An object of a store appears when it is complete.
        with self._system.open_output_stream(path) as stream:
            stream.write(content)

    def read(self, name: str) -> bytes | None:
        """Return a file, None if there is none."""
        path = f"{self._root}/{name}"
        if self._system.get_file_info(path).type != pafs.FileType.File:
            return None
        with self._system.open_input_file(path) as file:
            content: bytes = file.read()
        return content

    def files(self, folder: str) -> dict[str, int]:
        """Return name → size of the Parquet files of a folder, by name."""
        where = pafs.FileSelector(f"{self._root}/{folder}", allow_not_found=True)
        found = self._system.get_file_info(where)
        return {
            f"{folder}/{info.base_name}": info.size
            for info in sorted(found, key=lambda info: str(info.base_name))
            if info.type == pafs.FileType.File and info.base_name.endswith(".parquet")
        }

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Return a Parquet file, or some of its columns."""
        with self._system.open_input_file(f"{self._root}/{name}") as file:
            return pq.read_table(file, columns=columns)

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._system.delete_file(f"{self._root}/{name}")
