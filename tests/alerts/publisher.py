"""A program that publishes without end, to be killed. Arguments: outbox, first number.

Prints the two addresses, then tells events until it is killed.
"""

import sys
import threading
from itertools import count
from pathlib import Path

from alert_makers import draft

from alerts.writer import AlertWriter, WriterSettings


def main() -> None:
    """Publish for ever, no faster than the queue takes it."""
    outbox, first = Path(sys.argv[1]), int(sys.argv[2])
    settings = WriterSettings(outbox, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0")
    room = threading.Semaphore(50)
    with AlertWriter(settings, on_published=lambda _event, _latency_s: room.release()) as writer:
        print(writer.publish_address, writer.catch_up_address, flush=True)
        sys.stdin.readline()
        for number in count(first):
            for type_ in ("new", "end"):
                room.acquire()
                writer.submit(draft(number, type_))


if __name__ == "__main__":
    main()
