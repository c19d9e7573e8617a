"""A program that publishes 500 messages and stays, to be killed.

Arguments: outbox, first number, and the two addresses, if they are not to be any free ones.
Prints the two addresses, then, told to by a line, tells events.
"""

import sys
import threading
from pathlib import Path

from alert_makers import draft

from alerts.writer import AlertWriter, WriterSettings


def main() -> None:
    """Publish no faster than the queue takes it."""
    outbox, first = Path(sys.argv[1]), int(sys.argv[2])
    addresses = sys.argv[3:] or ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"]
    settings = WriterSettings(outbox, *addresses)
    room = threading.Semaphore(8)
    with AlertWriter(settings, on_published=lambda _event, _latency_s: room.release()) as writer:
        print(writer.publish_address, writer.catch_up_address, flush=True)
        sys.stdin.readline()
        for number in range(first, first + 250):
            for type_ in ("new", "end"):
                room.acquire()
                writer.submit(draft(number, type_))
        sys.stdin.read()


if __name__ == "__main__":
    main()
