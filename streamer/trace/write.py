"""Writes a trace: whole at the end, or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sorawatch import ResourceError
from streamer.trace.schema import COLUMNS, PARTS, REGION, SCHEMA, WORDS, TraceRow

ROWS_IN_GROUP: Final = 18_000
"""An hour at five a second: what is held in memory, and read at once."""


class TraceWriter:
    """Writes rows in order to `path`. A context manager, for one thread.

    The file appears when `finish` is called; left without, nothing is left. The same rows give the
    same bytes (of one version of pyarrow). ResourceError where the disk takes no more.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is written before the first rows."""
        self.path = path
        self.rows = 0
        self._part = path.with_name(f".{path.name}.part")
        self._pending: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._file: Any = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        """Open a file beside `path`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
            self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd")
        except OSError as exc:
            self._abandon()
            raise self._unwritable(exc) from exc
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Remove what was not finished."""
        self._abandon()

    def add(self, row: TraceRow) -> None:
        """Write a row."""
        pending = self._pending
        for name in ("frame", "generation", "t_s", "utc_s", "score", "moving", "standing"):
            pending[name].append(getattr(row, name))
        pending["gate"].append(row.gate.value)
        pending["strange"].append(row.strange)
        pending["changed"].append(row.changed)
        for name, share in zip(REGION, row.region or (None,) * 4, strict=True):
            pending[name].append(share)
        pending["text"].append(row.text)
        for name in PARTS:
            pending[name].append(row.parts.get(name, 0.0))
        pending["conditions"].append(" ".join(row.conditions))
        self.rows += 1
        if len(pending["frame"]) >= ROWS_IN_GROUP:
            self._flush()

    def finish(self) -> None:
        """Put the file in its place, safe against power loss."""
        self._flush()
        try:
            self._writer.close()
            self._writer = None
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self.path)
            sync_folder(self.path.parent)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def _flush(self) -> None:
        if not self._pending["frame"]:
            return
        arrays = [self._array(name) for name in COLUMNS]
        table = pa.Table.from_arrays(arrays, schema=SCHEMA)
        try:
            self._writer.write_table(table, row_group_size=ROWS_IN_GROUP)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        for values in self._pending.values():
            values.clear()

    def _array(self, name: str) -> Any:
        values, kind = self._pending[name], SCHEMA.field(name).type
        if name in WORDS:
            return pa.array(values, pa.string()).dictionary_encode()
        if name in REGION:
            return pa.array([None if v is None else np.float32(v) for v in values], kind)
        # Through numpy: pyarrow alone would take a NaN for a null here and there.
        return pa.array(np.array(values, kind.to_pandas_dtype()), kind, from_pandas=False)

    def _abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):  # the disk is full: the file goes anyway
                self._writer.close()
            self._writer = None
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        self._part.unlink(missing_ok=True)

    def _unwritable(self, exc: OSError) -> ResourceError:
        return ResourceError(f"{self.path}: cannot be written: {exc.strerror or exc}")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe against power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
