"""A stop that interrupts whatever a sink waits for."""

import os
import select
import threading
import time


class Halt:
    """Set once, by the owner of a sink's thread; that thread waits for it beside its sockets.

    `fileno` is readable once it is set.
    """

    def __init__(self) -> None:
        """Not set."""
        self._event = threading.Event()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """Interrupt. From any thread, before `close`."""
        if not self._event.is_set():
            self._event.set()
            os.eventfd_write(self._fd, 1)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._event.is_set()

    def fileno(self) -> int:
        """To be polled for reading."""
        return self._fd

    def close(self) -> None:
        """Once nobody waits or sets any more."""
        os.close(self._fd)


class Deadline:
    """A moment of the monotonic clock by which something must have happened."""

    def __init__(self, within_s: float) -> None:
        """`within_s` from now."""
        self.within_s = within_s
        self._at_s = time.monotonic() + within_s

    @property
    def left_s(self) -> float:
        """Until then, 0 once it is past."""
        return max(self._at_s - time.monotonic(), 0.0)


def wait_for(fd: int, events: int, halt: Halt, deadline: Deadline) -> int:
    """Wait until `fd` has some of `events` (of `select.poll`), and give those that it has.

    0 at the deadline, and as soon as `halt` is set.
    """
    poller = select.poll()
    poller.register(fd, events)
    poller.register(halt.fileno(), select.POLLIN)
    ready = dict(poller.poll(max(round(deadline.left_s * 1000), 0)))
    return 0 if halt.fileno() in ready else ready.get(fd, 0)
