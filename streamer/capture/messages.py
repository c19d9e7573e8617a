"""What the supervisor and its workers say to each other: one JSON object a message, as bytes.

Supervisor to worker: `start` (a camera; holds its source, credentials included), `stop`, `exit`.
Worker to supervisor: `ready`, `alive` (every second), `state`, `stopped` (its thread is gone; all
of them about one camera by its number, which is never given twice), `log`.
They travel through a pipe of these two processes and nowhere else; nothing is ever unpickled.
"""

import json
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source, SourceKind
from streamer.capture.states import CameraState, StateChange

Message = dict[str, Any]

MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """A camera to capture: its name, where its pictures come from, and how to take them."""

    name: str
    source: Source
    settings: CaptureSettings


def send(connection: Connection, message: Message) -> None:
    """Send one message. OSError when the other end is gone."""
    connection.send_bytes(json.dumps(message).encode())


def receive(connection: Connection) -> Message:
    """Wait for one message.

    EOFError or OSError when the other end is gone, ValueError or TypeError when it
    has lost its mind.
    """
    message = json.loads(connection.recv_bytes(MAX_BYTES))
    if not isinstance(message, dict):
        raise TypeError(f"a message must be an object, not {type(message).__name__}")
    return message


def start_message(number: int, spec: CameraSpec, ring: str) -> Message:
    """Ask a worker to capture a camera into the ring of this name."""
    return {
        "op": "start",
        "number": number,
        "camera": spec.name,
        "source": {
            "kind": spec.source.kind,
            "url": spec.source.url,
            "fps": spec.source.fps,
        },
        "settings": asdict(spec.settings),
        "ring": ring,
    }


def read_spec(message: Message) -> CameraSpec:
    """The camera that a `start` message is about."""
    source, settings = message["source"], dict(message["settings"])
    masks = ((tuple(corner) for corner in mask) for mask in settings.pop("masks", ()))
    return CameraSpec(
        message["camera"],
        # Not parsed anew: what was a folder stays one, also while it is not there.
        Source(SourceKind(source["kind"]), source["url"], source["fps"]),
        CaptureSettings(**settings, masks=tuple(tuple(mask) for mask in masks)),
    )


def state_message(number: int, change: StateChange) -> Message:
    """Tell of a camera's change of state."""
    return {"op": "state", "number": number, **asdict(change)}


def read_state(message: Message) -> StateChange:
    """The change that a `state` message tells of."""
    return StateChange(
        message["camera"],
        CameraState(message["state"]),
        message["reason"],
        message["detail"],
        message["t_mono_ns"],
        message["utc_s"],
    )
