"""The supervisor's end of one worker: its process and the pipe to it."""

import logging
import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from typing import Final

from streamer.capture import messages
from streamer.capture.doorbell import Doorbell
from streamer.capture.messages import Message
from streamer.capture.starting import start_blocked
from streamer.capture.worker import worker_main

_AT_ONCE: Final = 100  # messages taken from one worker before the others have their turn


class WorkerProcess:
    """A running worker. For one thread, `kill` excepted.

    `ready`: it has started, so that its death is no longer a matter of how it was installed.
    """

    def __init__(self, bell: Doorbell) -> None:
        """Start a worker that rings `bell`."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        self._process = context.Process(
            target=worker_main, args=(theirs, bell, level), name="sorawatch capture worker"
        )
        start_blocked(self._process, self._connection, theirs)
        self.pid: Final = self._process.pid or 0
        self.started_s: Final = time.monotonic()
        self.ready = False
        self.stuck = False
        self._leave_by_s: float | None = None

    @property
    def waitables(self) -> tuple[Connection, int]:
        """What to wait on: its pipe, and its death."""
        return self._connection, self._process.sentinel

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def send(self, message: Message) -> None:
        """Tell it something; whoever is dead hears nothing, and its death is seen elsewhere."""
        try:
            messages.send(self._connection, message)
        except OSError:
            return

    def received(self) -> tuple[list[Message], bool]:
        """What it has said since, and whether it may say more: False at the pipe's end."""
        said: list[Message] = []
        try:
            while len(said) < _AT_ONCE and self._connection.poll():
                said.append(messages.receive(self._connection))
        except (
            EOFError,
            OSError,
            ValueError,
            TypeError,
        ):  # gone, or its memory is no longer its own
            return said, False
        return said, True

    def leave(self, within_s: float) -> None:
        """Ask it to end; `overdue` once it has not within this time."""
        if self._leave_by_s is None:
            self._leave_by_s = time.monotonic() + within_s
            self.send({"op": "exit"})

    @property
    def overdue(self) -> bool:
        """Whether it should have ended by now."""
        return self._leave_by_s is not None and time.monotonic() > self._leave_by_s

    def kill(self, as_stuck: bool = False) -> None:
        """End it now; any thread. `as_stuck`: for a fault of its own, which `stuck` remembers."""
        self.stuck = self.stuck or as_stuck
        try:
            self._process.kill()
        except ValueError:
            return  # buried meanwhile

    def bury(self) -> int:
        """Wait for its end, which must be under way; its exit status, negative for a signal."""
        self._process.join()
        status = self._process.exitcode
        self._process.close()
        self._connection.close()
        return status or 0


def describe_exit(status: int) -> str:
    """An exit status in words: `SIGABRT`, or `exit status 1`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
