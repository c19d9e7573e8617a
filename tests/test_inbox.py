"""What others ask of the analysis: answered, refused, or said to be too late; never waited for."""

import threading
from collections.abc import Iterator

import pytest

from sorawatch import ConfigError, SorawatchError
from streamer.capture.doorbell import Doorbell, wait
from streamer.inbox import Inbox


class Worker:
    """A thread that does what its inbox holds, until told to stop or ended by an error."""

    def __init__(self) -> None:
        self.bell = Doorbell()
        self.thread = threading.Thread(target=self._run)
        self.inbox = Inbox(self.bell, self.thread.is_alive)
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                wait([self.bell], 0.05)
                self.inbox.do_all()
        except BaseException as exc:
            self.error = exc


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    made.thread.start()
    yield made
    made.stopping.set()
    made.thread.join()
    made.bell.close()


def test_work_is_done_on_the_thread_and_answered(worker: Worker) -> None:
    """Who asks gets what the thread found, or our own error, and the thread goes on."""

    def refuse() -> None:
        raise ConfigError("no such camera")

    with pytest.raises(ConfigError, match="no such camera"):
        worker.inbox.ask(refuse)
    assert worker.inbox.ask(threading.current_thread) is worker.thread


def test_an_unexpected_error_ends_the_thread_and_reaches_who_asked(worker: Worker) -> None:
    """Nobody waits for a thread that has died of what was asked of it."""

    def break_off() -> None:
        raise ZeroDivisionError("half done")

    with pytest.raises(ZeroDivisionError, match="half done"):
        worker.inbox.ask(break_off)
    worker.thread.join()
    assert isinstance(worker.error, ZeroDivisionError)
    with pytest.raises(SorawatchError, match="has ended"):
        worker.inbox.ask(lambda: None, within_s=float("inf"))


def test_what_comes_too_late_is_not_done(worker: Worker) -> None:
    """Work that was given up is left out when the thread is free again."""
    busy, done = threading.Event(), []
    worker.inbox.post(busy.wait)
    with pytest.raises(SorawatchError, match="does not answer"):
        worker.inbox.ask(lambda: done.append(1), within_s=0.0)
    busy.set()
    worker.inbox.ask(lambda: done.append(2))
    assert done == [2]
