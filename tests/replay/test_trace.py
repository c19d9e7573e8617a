"""The trace on disk: it gives back what was written, and refuses what is not one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disk import small_disk

from sorawatch import ReplayError, ResourceError
from streamer.trace.manifest import load_manifest
from streamer.trace.read import Words, count_rows, read_columns, read_trace
from streamer.trace.schema import COLUMNS, SCHEMA, VERSION_KEY, Gate, TraceRow, short
from streamer.trace.write import ROWS_IN_GROUP, TraceWriter


def rows(count: int, seed: int = 0) -> Iterator[TraceRow]:
    """Rows as a busy camera's, with a black picture now and then."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        when = {"frame": number, "generation": 3, "t_s": number / 5, "utc_s": 1.8e9 + number / 5}
        if number % 50 == 7:
            nothing = float("nan")
            yield TraceRow(
                **when, score=nothing, moving=nothing, standing=nothing, gate=Gate.INVALID,
                conditions=("dark", "slow"),
            )  # fmt: skip
            continue
        moving, standing = rng.exponential(2, 2).tolist()
        yield TraceRow(
            **when,
            score=max(moving, standing),
            moving=moving,
            standing=standing,
            gate=Gate.SCORED,
            strange=bool(rng.integers(2)),
            changed=short(rng.random()),
            region=(short(0.1), short(0.2), short(0.3), short(rng.random())),
            text=f"{moving:.1f} times the usual speed",
            parts={"speed": short(0.3), "stay": short(0.7)},
        )


def write(path: Path, count: int, seed: int = 0) -> Path:
    with TraceWriter(path) as writer:
        for row in rows(count, seed):
            writer.add(row)
        writer.finish()
    return path


def test_rows_come_back_bit_for_bit(tmp_path: Path) -> None:
    """What was written is read again to the last bit, and the same rows make the same file."""
    count = ROWS_IN_GROUP + 10  # more than is held in memory
    path = write(tmp_path / "a.parquet", count)
    again = write(tmp_path / "b.parquet", count)
    assert path.read_bytes() == again.read_bytes()
    assert list(map(repr, read_trace(path).rows())) == list(map(repr, rows(count)))  # NaN != NaN


def test_single_columns_of_many_files(tmp_path: Path) -> None:
    """Columns of files one after the other, words with one code each, whatever the file."""
    paths = [write(tmp_path / f"{n}.parquet", 60 + n, seed=n) for n in range(3)]
    columns = read_columns(paths, ["score", "text"])
    every = [row for path in paths for row in read_trace(path).rows()]
    np.testing.assert_array_equal(columns["score"], [row.score for row in every])
    text = columns["text"]
    assert isinstance(text, Words)
    assert [text[n] for n in range(len(text))] == [row.text for row in every]
    assert set(columns) == {"score", "text"}
    assert text.are(every[0].text).sum() == sum(row.text == every[0].text for row in every)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    """A writer that is not finished leaves the folder as it was."""
    path = write(tmp_path / "a.parquet", 20)
    before = path.read_bytes()
    with TraceWriter(path) as writer:
        writer.add(next(rows(1)))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_a_full_disk_is_told_and_costs_nothing_finished(tmp_path: Path) -> None:
    """On a full disk the error names the file, and those written before stay whole."""
    with small_disk(tmp_path / "disk", 512) as disk:
        kept = write(disk / "a.parquet", 50)
        with pytest.raises(ResourceError, match=r"b\.parquet: cannot be written: No space"):
            write(disk / "b.parquet", 2 * ROWS_IN_GROUP)
        assert [p.name for p in disk.iterdir()] == ["a.parquet"]
        assert len(read_trace(kept)) == 50


def changed(path: Path, column: str, values: Any) -> None:
    """Write the file anew with a column replaced; None: without it."""
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    meta = table.schema.metadata
    if values is None:
        table = table.remove_column(index)
    else:
        table = table.set_column(index, column, values)
    pq.write_table(table.replace_schema_metadata(meta), path)


def worst(count: int, kind: pa.DataType, bad: Any) -> pa.Array:
    return pa.array([0.5] * (count - 1) + [bad], kind)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("score", None, "the column score is missing"),
        ("score", worst(10, pa.float32(), 1), "the column score holds float, not double"),
        ("score", worst(10, pa.float64(), float("nan")), "score must be a number where the gate"),
        ("utc_s", worst(10, pa.float64(), float("nan")), "utc_s holds what is no number"),
        ("utc_s", worst(10, pa.float64(), 0.1), "not in the order of time"),
        ("score", worst(10, pa.float64(), float("inf")), "score holds what it cannot hold"),
        ("moving", worst(10, pa.float64(), -1.0), "moving holds what it cannot hold"),
        ("speed", worst(10, pa.float32(), 2.0), "speed holds shares above 1"),
        ("speed", worst(10, pa.float32(), None), "speed has gaps"),
        ("width", worst(10, pa.float32(), None), "lacks its width"),
        ("gate", pa.array(["odd"] * 10).dictionary_encode(), "no gate is called 'odd'"),
    ],
)
def test_what_no_trace_can_hold_is_refused(
    tmp_path: Path, column: str, values: Any, said: str
) -> None:
    """One line that names the file and what is wrong with it, before a number of it is used."""
    path = tmp_path / "a.parquet"
    with TraceWriter(path) as writer:
        for row in rows(60):
            if row.gate is Gate.SCORED and writer.rows < 10:
                writer.add(row)
        writer.finish()
    changed(path, column, values)
    with pytest.raises(ReplayError, match=said) as told:
        read_trace(path)
    assert str(told.value).startswith(str(path))
    assert "\n" not in str(told.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Missing, cut off anywhere, foreign, or of another version: each is told as what it is."""
    path = write(tmp_path / "a.parquet", 200)
    whole = path.read_bytes()
    for length in (0, 3, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ReplayError, match="no trace, or cut off"):
            read_trace(path)
    spoilt = bytearray(whole)
    spoilt[200:900] = bytes(700)
    path.write_bytes(spoilt)
    with pytest.raises(ReplayError, match="broken"):
        read_trace(path)
    with pytest.raises(ReplayError, match="is not there"):
        count_rows(tmp_path / "none.parquet")
    pq.write_table(pa.table({"score": [1.0]}), path)
    with pytest.raises(ReplayError, match="no trace of Sorawatch"):
        count_rows(path)
    other = SCHEMA.with_metadata({VERSION_KEY: b"7"})
    pq.write_table(other.empty_table(), path)
    with pytest.raises(ReplayError, match="trace version 7, this program reads 1"):
        read_trace(path)
    assert len(COLUMNS) == len(SCHEMA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no replay: make one with sorawatch replay"),
        ("[", "no JSON"),
        ("[]", "not a replay of Sorawatch"),
        ('{"format": "sorawatch.replay", "version": 9}', "replay version 9, this program reads 1"),
        ('{"format": "sorawatch.replay", "version": 1}', "broken: cameras: Field required"),
    ],
)
def test_a_manifest_is_checked(tmp_path: Path, text: str | None, said: str) -> None:
    """A folder that is no replay of this version says so in one line."""
    if text is not None:
        (tmp_path / "replay.json").write_text(text)
    with pytest.raises(ReplayError, match=said) as told:
        load_manifest(tmp_path)
    assert str(tmp_path) in str(told.value)


def test_a_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    """A trace's name in the manifest leads nowhere but into the replay's own folder."""
    camera = {
        "normal_sha256": "0" * 64, "model_sha256": None, "config_sha256": "0" * 64,
        "provider": None, "fps": 5.0, "alerts_per_day": 1.0, "judge": {},
        "sources": [{
            "file": "../../x.parquet", "source": "x", "start_utc_s": 0, "end_utc_s": 1,
            "frames_read": 1, "frames_scored": 1, "complete": True, "problem": None,
            "identity": "0" * 64,
        }],
    }  # fmt: skip
    tree = {"format": "sorawatch.replay", "version": 1, "cameras": {"gate": camera}}
    (tmp_path / "replay.json").write_text(json.dumps(tree))
    with pytest.raises(ReplayError, match=r"cameras\.gate\.sources\.0\.file"):
        load_manifest(tmp_path)
