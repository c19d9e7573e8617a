"""A program that tells a webhook without end, to be killed. Arguments: folder, URL."""

import sys
import threading
from itertools import count
from pathlib import Path

from alert_makers import draft, settings
from sink_rig import QUICK

from alerts.sinks.sinks import Sinks, SinkSettings
from alerts.sinks.webhook import WebhookSettings
from alerts.writer import AlertWriter


def main() -> None:
    """Tell for ever, no faster than the queue takes it."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    room = threading.Semaphore(20)
    sink = SinkSettings("hook", WebhookSettings(url), backoff=QUICK)
    with (
        AlertWriter(
            settings(folder), on_published=lambda _event, _latency_s: room.release()
        ) as writer,
        Sinks([sink], writer.follow, stream=writer.stream),
    ):
        for number in count():
            for type_ in ("new", "end"):
                room.acquire()
                writer.submit(draft(number, type_))


if __name__ == "__main__":
    main()
