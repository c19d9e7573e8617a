"""What other threads ask of the analysis, done there between two turns."""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from sorawatch import SorawatchError
from streamer.capture.doorbell import Doorbell

LOOK_S: Final = 0.25
"""The analysis looks at least this often, so that it hears of changes and is seen to live."""

ANSWER_S: Final = 10.0
"""So long somebody who asks waits for the analysis, unless told otherwise."""

_A = TypeVar("_A")


class Inbox:
    """Work for one thread, from any."""

    def __init__(self, bell: Doorbell, alive: Callable[[], bool]) -> None:
        """`bell` wakes the thread; `alive`: whether it runs, and can still answer."""
        self._bell = bell
        self._alive = alive
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def post(self, work: Callable[[], None]) -> None:
        """Have it done some time soon; the thread is not woken for it."""
        self._work.put(work)

    def ask(self, work: Callable[[], _A], within_s: float = ANSWER_S) -> _A:
        """What the thread gives when it does `work`, or what that raises.

        SorawatchError when it has ended, or does not begin within `within_s`: then the work is not
        done later. What is no SorawatchError ends the thread as well.
        """
        done: Future[_A] = Future()

        def do() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except SorawatchError as exc:
                    done.set_exception(exc)
                except BaseException as exc:  # ends the thread; who asked must not wait for it
                    done.set_exception(exc)
                    raise

        self._work.put(do)
        self._bell.ring()
        until_s = time.monotonic() + within_s
        while True:
            try:
                return done.result(LOOK_S)
            except TimeoutError as exc:
                alive = self._alive()
                if alive and time.monotonic() < until_s:
                    continue
                if done.cancel():
                    how = "does not answer: try again" if alive else "has ended: see the log"
                    raise SorawatchError(f"the analysis {how}") from exc
                return done.result()  # it has begun, and takes no time

    def do_all(self) -> None:
        """Do what has been asked for; for the thread itself."""
        while True:
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                return
            work()
