"""Reads traces, and believes nothing that was not checked.

`read_trace` gives one file whole; `read_columns` gives single columns of many files in arrays that
are made once, filled an hour at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sorawatch import ReplayError
from streamer.trace.schema import (
    COLUMNS,
    PARTS,
    REGION,
    SCHEMA,
    UNSCORED,
    VERSION,
    VERSION_KEY,
    WORDS,
    Gate,
    TraceRow,
)

MAX_ROWS: Final = 100_000_000
"""Of one file: 30 a second for a month. More is no trace of ours."""

_MAX_WORDS: Final = 100_000
_MAX_GROUP_ROWS: Final = 1_000_000
_NOT_FINITE: Final = frozenset({"score", "moving", "standing", *REGION})
_GATES: Final = frozenset(gate.value for gate in Gate)
_SHARES: Final = frozenset({"changed", *PARTS})


@dataclass(frozen=True, slots=True)
class Words:
    """A column of words: `words[codes[i]]` is that of row i. `codes`: (n,) int32."""

    codes: NDArray[np.int32]
    words: tuple[str, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        """The word of a row."""
        word: str = self.words[self.codes[row]]
        return word

    def are(self, *words: str) -> NDArray[np.bool_]:
        """(n,) bool: whether each row's word is one of these."""
        wanted = [code for code, word in enumerate(self.words) if word in words]
        return np.isin(self.codes, wanted)


Column = NDArray[Any] | Words


@dataclass(frozen=True, slots=True)
class Trace:
    """One file. `columns`: by the names of `COLUMNS`; NaN where a region is none."""

    path: Path
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.columns["frame"])

    def numbers(self, name: str) -> NDArray[Any]:
        """A column of numbers, (n,)."""
        column = self.columns[name]
        assert not isinstance(column, Words)  # noqa: S101 - the caller names a column of numbers
        return column

    def words(self, name: str) -> Words:
        """A column of words."""
        column = self.columns[name]
        assert isinstance(column, Words)  # noqa: S101 - as above
        return column

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[TraceRow]:
        """Rows `first` up to `last` (not included; None: to the end), as they were written."""
        last = len(self) if last is None else min(last, len(self))
        for row in range(first, last):
            yield self.row(row)

    def row(self, row: int) -> TraceRow:
        """One row, as it was written."""
        value: dict[str, Any] = {name: self.columns[name][row] for name in COLUMNS}
        x, y, width, height = (float(value[name]) for name in REGION)
        conditions: str = value["conditions"]
        return TraceRow(
            frame=int(value["frame"]),
            generation=int(value["generation"]),
            t_s=float(value["t_s"]),
            utc_s=float(value["utc_s"]),
            score=float(value["score"]),
            moving=float(value["moving"]),
            standing=float(value["standing"]),
            gate=Gate(value["gate"]),
            strange=bool(value["strange"]),
            changed=float(value["changed"]),
            region=None if np.isnan(x) else (x, y, width, height),
            text=value["text"],
            parts={name: float(value[name]) for name in PARTS if value[name] > 0},
            conditions=tuple(conditions.split()),
        )


def read_trace(path: Path) -> Trace:
    """Read a file whole.

    ReplayError where it is missing, no trace, of another version, cut off, or holds what no trace
    can hold.
    """
    columns = read_columns([path], COLUMNS)
    _check_together(path, columns)
    return Trace(path, columns)


def read_columns(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Column]:
    """Columns of several files, one after the other: {name: (n,) array or `Words`}.

    Takes the memory of the result and an hour's rows. Errors as `read_trace`, each naming its file;
    what only several columns together can tell is not checked.
    """
    rows = [count_rows(path) for path in paths]
    out: dict[str, NDArray[Any]] = {
        name: np.empty(
            sum(rows), np.int32 if name in WORDS else SCHEMA.field(name).type.to_pandas_dtype()
        )
        for name in names
    }
    codes: dict[str, dict[str, int]] = {name: {} for name in names if name in WORDS}
    at = 0
    for path, count in zip(paths, rows, strict=True):
        end = at + count
        for batch in _batches(path, names):
            if at + batch.num_rows > end:
                raise ReplayError(f"{path}: broken: holds more rows than it says")
            for name in names:
                own = slice(at, at + batch.num_rows)
                array = batch.column(name)
                if name in WORDS:
                    out[name][own] = _coded(path, name, array, codes[name])
                else:
                    out[name][own] = _numbers(path, name, array)
            at += batch.num_rows
        if at != end:
            raise ReplayError(f"{path}: broken: holds fewer rows than it says")
    return {
        name: Words(values, tuple(codes[name])) if name in WORDS else values
        for name, values in out.items()
    }


class Groups:
    """One file, read a group of rows at a time: about an hour. Errors as `read_trace`."""

    def __init__(self, path: Path) -> None:
        """Nothing but the number of rows is read yet."""
        self.path = path
        self._file = _open(path)
        meta = self._file.metadata
        self.rows = [int(meta.row_group(group).num_rows) for group in range(meta.num_row_groups)]

    def read(self, group: int) -> Trace:
        """One group."""
        path = self.path
        columns: dict[str, Column] = {}
        try:
            table = self._file.read_row_group(group, columns=list(COLUMNS))
        except (OSError, ValueError, pa.ArrowException) as exc:
            what = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
            raise ReplayError(f"{path}: broken ({what}): replay it anew") from exc
        for name in COLUMNS:
            array = table.column(name).combine_chunks()
            if name in WORDS:
                codes: dict[str, int] = {}
                own = _coded(path, name, array, codes)
                columns[name] = Words(own, tuple(codes))
            else:
                columns[name] = _numbers(path, name, array)
        _check_together(path, columns)
        return Trace(path, columns)


def count_rows(path: Path) -> int:
    """How many rows a file holds; checks version and columns. Errors as `read_trace`."""
    return int(_open(path).metadata.num_rows)


def _open(path: Path) -> Any:
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except FileNotFoundError as exc:
        raise ReplayError(f"{path}: is not there") from exc
    except (OSError, ValueError, pa.ArrowException) as exc:  # Arrow says it in several lines
        what = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise ReplayError(f"{path}: no trace, or cut off ({what}): replay it anew") from exc
    version = (schema.metadata or {}).get(VERSION_KEY)
    if version is None:
        raise ReplayError(f"{path}: a Parquet file, but no trace of Sorawatch")
    if version != VERSION.encode():
        raise ReplayError(
            f"{path}: trace version {version[:20].decode(errors='replace')}, this program reads "
            f"{VERSION}: replay it anew"
        )
    _check_columns(path, schema)
    meta = file.metadata
    groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    if not 0 <= meta.num_rows <= MAX_ROWS or any(rows > _MAX_GROUP_ROWS for rows in groups):
        raise ReplayError(f"{path}: broken: says that it holds {meta.num_rows} rows")
    return file


def _check_columns(path: Path, schema: Any) -> None:
    for name in COLUMNS:
        index = schema.get_field_index(name)
        if index < 0:
            raise ReplayError(f"{path}: broken: the column {name} is missing: replay it anew")
        found, wanted = schema.field(index).type, SCHEMA.field(name).type
        if found != wanted:
            raise ReplayError(
                f"{path}: broken: the column {name} holds {found}, not {wanted}: replay it anew"
            )


def _batches(path: Path, names: Sequence[str]) -> Iterator[Any]:
    file = _open(path)
    try:
        for group in range(file.metadata.num_row_groups):
            yield from file.read_row_group(group, columns=list(names)).to_batches()
    except (OSError, ValueError, pa.ArrowException) as exc:
        what = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        raise ReplayError(f"{path}: broken ({what}): replay it anew") from exc


def _numbers(path: Path, name: str, array: Any) -> NDArray[Any]:
    if array.null_count and name not in REGION:
        raise ReplayError(f"{path}: broken: the column {name} has gaps")
    values = np.asarray(array.to_numpy(zero_copy_only=False))
    if values.dtype.kind == "f":
        if name not in _NOT_FINITE and not np.isfinite(values).all():
            raise ReplayError(f"{path}: broken: the column {name} holds what is no number")
        if np.isinf(values).any() or (name != "utc_s" and (values < 0).any()):
            raise ReplayError(f"{path}: broken: the column {name} holds what it cannot hold")
        if name in _SHARES and (values > 1.001).any():
            raise ReplayError(f"{path}: broken: the column {name} holds shares above 1")
    return values


def _coded(path: Path, name: str, array: Any, codes: dict[str, int]) -> NDArray[np.int32]:
    """Codes of a column of words; words that are new get the next one."""
    if array.null_count:
        raise ReplayError(f"{path}: broken: the column {name} has gaps")
    own = array.dictionary.to_pylist()
    if len(own) + len(codes) > _MAX_WORDS or any(word is None for word in own):
        raise ReplayError(f"{path}: broken: the column {name} holds too many words")
    if name == "gate":
        for word in own:
            if word not in _GATES:
                raise ReplayError(f"{path}: broken: no gate is called {word!r:.40}")
    mapping = np.array([codes.setdefault(word, len(codes)) for word in own], np.int32)
    indices = np.asarray(array.indices.to_numpy(zero_copy_only=False))
    return mapping[indices] if len(mapping) else np.empty(0, np.int32)


def _check_together(path: Path, columns: Mapping[str, Any]) -> None:
    """What several columns tell together."""
    unscored = columns["gate"].are(*UNSCORED)
    for name in ("score", "moving", "standing"):
        if (np.isnan(columns[name]) != unscored).any():
            raise ReplayError(
                f"{path}: broken: {name} must be a number where the gate says that it was scored, "
                "and there alone"
            )
    for name in REGION[1:]:
        if (np.isnan(columns[name]) != np.isnan(columns["x"])).any():
            raise ReplayError(f"{path}: broken: a region lacks its {name}")
    if len(columns["utc_s"]) > 1 and (np.diff(columns["utc_s"]) < 0).any():
        raise ReplayError(f"{path}: broken: its rows are not in the order of time")
