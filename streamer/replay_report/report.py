"""Writes `report.html`: one file that needs nothing else, and no network."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from detectors.arrayfile import write_atomic
from streamer.deciding.labels import Labels
from streamer.deciding.redecide import Settings
from streamer.deciding.replayed import Replay, each_footage, open_replay
from streamer.replay_report.document import CameraDocument, Room
from streamer.replay_report.pictures import Pictures
from streamer.trace.manifest import REPORT

_SCRIPTS: Final = ("judge.js", "timeline.js", "page.js")
_ROWS: Final = 300_000
_COLUMNS: Final = 400_000
_LEVELS: Final = 1_500
_ALERTS: Final = 5_000
_FACTS: Final = 10_000
_PICTURES_BYTES: Final = 6 * 1024 * 1024


def write_report(
    replay: Replay | Path,
    out: Path | None = None,
    chosen: Mapping[str, Settings] | None = None,
    labels: Labels | None = None,
) -> Path:
    """Write the page of a replay, whole or not at all; gives its path.

    `out`: where to, `report.html` in the replay's folder if not given. `chosen`: settings that the
    page begins with, by camera; what it was replayed with if not given. `labels`: marked as real.

    The same replay gives the same bytes. It has 20 MB at most but for replays of thousands of
    sources: one source is in memory at a time, and of each what decides and what is drawn is kept.
    Raises ReplayError for a trace that cannot be read, ResourceError where it cannot be written.
    """
    opened = open_replay(replay) if isinstance(replay, Path) else replay
    path = opened.folder / REPORT if out is None else out
    write_atomic(path, _page(_documents(opened, chosen or {}), labels).encode())
    return path


def _documents(replay: Replay, chosen: Mapping[str, Settings]) -> list[dict[str, Any]]:
    cameras = max(1, len(replay.cameras))
    sources = max(1, sum(len(camera.sources) for camera in replay.cameras.values()))
    room = Room(
        rows=_ROWS // cameras,
        columns=max(16, min(4000, _COLUMNS // sources)),
        levels=_LEVELS // cameras,
        alerts=max(20, _ALERTS // cameras),
        facts=max(5, min(2000, _FACTS // sources)),
    )
    pictures = Pictures(replay.folder, _PICTURES_BYTES)
    found = {
        name: CameraDocument(camera, room, pictures, chosen.get(name))
        for name, camera in replay.cameras.items()
    }
    for camera, source, footage in each_footage(replay.sources()):
        found[camera.name].add(source, footage)
    return [one.document() for one in found.values()]


def _page(cameras: list[dict[str, Any]], labels: Labels | None) -> str:
    script = "\n".join(_text(name) for name in _SCRIPTS)
    style = _text("style.css")
    marked = (
        []
        if labels is None
        else [
            [camera, start_s, end_s]
            for (camera, _), events in labels.events.items()
            for start_s, end_s in events
        ]
    )
    facts = {
        "cameras": [
            {key: camera[key] for key in ("name", "alerts", "footage_s", "today", "problems")}
            for camera in cameras
        ],
        "labels": marked,
    }
    data = [_data("facts", facts), *(_data(f"camera-{k}", one) for k, one in enumerate(cameras))]
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'",
        "style": style,
        "data": "\n".join(data),
        "script": script,
    }
    # In one pass: what is put in is not looked through again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html"))


def _data(name: str, tree: object) -> str:
    """JSON that can neither end the element that it is in nor begin another."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
