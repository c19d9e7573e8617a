"""What a trace holds: one row for each frame that was walked, in order (docs/replay.md).

A trace is a Parquet file of these columns, in this order, and no others. Its version stands in the
file's metadata under `sorawatch.trace`.

Deciding from a trace goes like this, and replay and live watching do the same. Each file is on its
own, with a judge that knows nothing of those before. Rows with a score are given to
`CalibratedJudge.step` in order, as `streamer.judging.observation_of` makes them. What is open is
closed (`camera_lost`) at the first row whose `conditions` hold `dark`, before that row's own step,
and at the end (`stopped`, at the `end_utc_s` of the file's record in the manifest).
"""

from typing import Final

import pyarrow as pa

from streamer.trace.row import PARTS, UNSCORED, Gate, TraceRow, short

__all__ = [
    "COLUMNS",
    "PARTS",
    "REGION",
    "SCHEMA",
    "UNSCORED",
    "VERSION",
    "VERSION_KEY",
    "WORDS",
    "Gate",
    "TraceRow",
    "short",
]

VERSION: Final = "1"
VERSION_KEY: Final = b"sorawatch.trace"

REGION: Final = ("x", "y", "width", "height")

_WORDS: Final = pa.dictionary(pa.int32(), pa.string())

SCHEMA: Final = pa.schema(
    [
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("generation", pa.int32(), nullable=False),
        *(
            pa.field(name, pa.float64(), nullable=False)
            for name in ("t_s", "utc_s", "score", "moving", "standing")
        ),
        pa.field("gate", _WORDS, nullable=False),
        pa.field("strange", pa.bool_(), nullable=False),
        pa.field("changed", pa.float32(), nullable=False),
        *(pa.field(name, pa.float32()) for name in REGION),
        pa.field("text", _WORDS, nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in PARTS),
        pa.field("conditions", _WORDS, nullable=False),
    ],
    metadata={VERSION_KEY: VERSION.encode()},
)
"""The columns. `gate`, `text` and `conditions` are words; conditions stand apart by spaces."""

COLUMNS: Final = tuple(SCHEMA.names)
WORDS: Final = frozenset({"gate", "text", "conditions"})
"""Columns of words."""
