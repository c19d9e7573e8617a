"""How a worker tells the main process that a ring has something new, without either waiting."""

import os
import select
from collections.abc import Sequence
from multiprocessing import context, reduction
from typing import Any, Final, Self

_READ_SIZE: Final = 65536  # a pipe's whole capacity


class Doorbell:
    """A pipe that holds "rung" or nothing. The process that makes it waits, a child rings.

    Pass it to a `spawn`ed child as an argument of its `Process`: what arrives there can only
    ring. Any thread may ring; many rings before a look are one. A bell says only that something
    may be new somewhere: look at every ring that its worker writes.
    """

    def __init__(self) -> None:
        """Make the pipe; `close` it, or use the bell as a context manager."""
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def ring(self) -> None:
        """Ring. Never blocks; never fails because nobody listens any more."""
        try:
            os.write(self._write_fd, b"\0")
        except (BlockingIOError, BrokenPipeError):
            return  # rung 65,536 times already, or the main process is gone

    def drain(self) -> bool:
        """Silence the bell; whether it had been rung."""
        try:
            return bool(os.read(self._read_fd, _READ_SIZE))
        except BlockingIOError:
            return False

    def fileno(self) -> int:
        """The end to wait for, for `select` and its kin."""
        return self._read_fd

    def close(self) -> None:
        """Close both ends. May be repeated."""
        for fd in (self._read_fd, self._write_fd):
            if fd >= 0:
                os.close(fd)
        self._read_fd = self._write_fd = -1

    def __enter__(self) -> Self:
        """The bell itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """For `spawn`, and only while it starts a child: the ringing end travels along."""
        context.assert_spawning(self)
        return _ringing_end, (reduction.DupFd(self._write_fd),)


def _ringing_end(end: Any) -> Doorbell:
    bell = Doorbell.__new__(Doorbell)
    bell._read_fd = -1
    bell._write_fd = end.detach()
    os.set_inheritable(bell._write_fd, False)
    return bell


def wait(bells: Sequence[Doorbell], timeout_s: float | None) -> list[Doorbell]:
    """The bells that were rung, silenced; [] after `timeout_s` seconds (None: no limit).

    They are silent again before the caller looks at the rings, so a frame that comes while it
    looks rings anew and none is missed.
    """
    poll = select.poll()
    by_fd = {bell.fileno(): bell for bell in bells}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    # Rounded up, or a wait of less than a millisecond would spin.
    timeout_ms = None if timeout_s is None else -int(-max(0.0, timeout_s) * 1000 // 1)
    return [by_fd[fd] for fd, _ in poll.poll(timeout_ms) if by_fd[fd].drain()]
