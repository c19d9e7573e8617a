"""A process that replays runs, and our end of its pipe."""

import json
import multiprocessing
from typing import Any, Final

from streamer.replay.job import Order, job_main

LEAVE_S: Final = 3.0
"""So long a process may take to end by itself."""


class JobProcess:
    """Started when made; `connection` is ours, `runs` those that it works on, and where each is."""

    def __init__(self, order: Order) -> None:
        """Start it; it asks for runs by itself."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=job_main, args=(theirs, order), name="sorawatch replay"
        )
        self.process.start()
        theirs.close()
        self.runs: dict[int, float | None] = {}

    def send(self, message: dict[str, Any]) -> None:
        """Answer it."""
        self.connection.send_bytes(json.dumps(message).encode())

    def end(self) -> None:
        """Hang up, and see to it that it ends."""
        self.connection.close()
        self.process.join(LEAVE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()
