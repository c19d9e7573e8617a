"""One camera's capture: connect, read, reduce, put into the ring; for ever."""

from collections.abc import Callable

from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import StateChange


class CameraCapture:
    """The body of one capture thread; its owner starts the thread, watches it, and joins it.

    `on_state` is called for every change of state, from the capture thread or from the thread
    that calls `watch`, never from both at once; `on_frame` after every frame put into the ring.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        ring: FrameRing,
        *,
        settings: CaptureSettings,
        on_state: Callable[[StateChange], None],
        on_frame: Callable[[], None],
    ) -> None:
        raise NotImplementedError

    def run(self) -> None:
        """Capture until `stop`, or until the source has ended and is to be read once.

        Returns; raises nothing for a source's faults.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Ask `run` to return; any thread. Waits end at once, a read that blocks at its timeout."""
        raise NotImplementedError

    def watch(self, now_ns: int | None = None) -> None:
        """Find out whether the thread is stuck in a read; call it a few times a second.

        Any thread but the one in `run`. Goes to `stalled` when a read takes longer than
        `stall_after_s`; `run` goes back to `online` with the next picture.
        """
        raise NotImplementedError
