"""Drafts and subscribers for the tests of alerts."""

import uuid
from pathlib import Path

from alerts.event import EventDraft, Explanation, event_id
from alerts.subscriber import Subscriber
from alerts.writer import AlertWriter, WriterSettings

START_S = 1_763_802_000.0
WAIT_S = 10.0


def draft(number: int = 0, type_: str = "new", camera: str = "gate", **facts: object) -> EventDraft:
    """A message of the event that began `number` seconds after START_S."""
    start_s = START_S + number
    end = {"end_time": start_s + 1, "ended_by": "over"} if type_ == "end" else {}
    return EventDraft.model_validate(
        {
            "type": type_,
            "id": event_id(camera, "anomaly", None, start_s),
            "camera": camera,
            "kind": "anomaly",
            "severity": "alert",
            "time": start_s + 0.6,
            "start_time": start_s,
            "score": 7.3,
            "threshold": 5.1,
            "expected_per_day": 0.04,
            "explanation": Explanation(text="faster than anything seen here", parts={"speed": 1}),
            **end,
            **facts,
        }
    )


def settings(folder: Path, **changes: object) -> WriterSettings:
    """A writer on free ports of the loopback interface, its outbox in `folder`."""
    facts = {"publish": "tcp://127.0.0.1:0", "catch_up": "tcp://127.0.0.1:0", **changes}
    return WriterSettings(outbox=folder / "alerts.db", **facts)  # type: ignore[arg-type]


def subscriber(writer: AlertWriter, **options: object) -> Subscriber:
    """A subscriber of `writer` that can ask for what it missed."""
    return Subscriber(writer.publish_address, writer.catch_up_address, **options)  # type: ignore[arg-type]


def short_folder() -> Path:
    """A folder with a name short enough for an ipc address. Not made yet."""
    return Path("/tmp") / f"sora-{uuid.uuid4().hex[:8]}"  # noqa: S108
