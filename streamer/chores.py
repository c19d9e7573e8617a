"""Chores: what takes a disk long, and nobody waits for."""

import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

log = logging.getLogger(__name__)

LEAVE_S: Final = 1.0
"""A chore that is being done at the end gets so long; then it ends with the process."""

_WAITING: Final = 16


class Chores:
    """Does one chore after the other, on a thread of its own. A context manager.

    Few wait at a time; one that finds no room is left out, and has to be asked for again.
    """

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._waiting: queue.Queue[Callable[[], object]] = queue.Queue(_WAITING)
        self._leaving = threading.Event()
        # A daemon: a disk that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what waits; wait for what is being done, `LEAVE_S` at most."""
        self._leaving.set()
        self.ask(lambda: None)  # wakes the thread; where there is no room, it is awake
        self._thread.join(LEAVE_S)

    def ask(self, chore: Callable[[], object]) -> bool:
        """Have it done; False where too much waits already. Any thread."""
        try:
            self._waiting.put_nowait(chore)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while True:
            chore = self._waiting.get()
            if self._leaving.is_set():
                return
            try:
                chore()
            except Exception:
                log.exception("a chore failed")
