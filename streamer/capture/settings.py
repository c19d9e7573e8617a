"""How a camera is captured: the settings of one capture thread."""

from dataclasses import dataclass
from typing import Literal

from streamer.capture.masks import Polygon

Transport = Literal["tcp", "udp"]
Mode = Literal["drop", "wait"]


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """Settings of one capture thread; all times in seconds.

    `fps`: how many frames a second are analysed at most; the others are grabbed and dropped.
    `transport`: how RTSP brings its packets; `tcp` loses none.
    `open_timeout_s`, `read_timeout_s`: longest wait for a connection, for a picture.
    `stall_after_s`: without a picture for this long, the camera counts as stalled.
    `backoff_max_s`: longest wait between two attempts to connect.
    `mode`: `drop` never waits for the reader (a file then plays at its own rate, as a camera
    would); `wait` reads a file as fast as the ring's reader takes frames and loses none.
    `once`: the end of a file or folder ends the capture.
    `loop`: the end of a file or folder starts it anew at once, without going offline.
    `masks`: parts of the picture that nobody is to see; black before they leave the capture.
    """

    fps: float = 5.0
    transport: Transport = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 3.5
    stall_after_s: float = 2.0
    backoff_max_s: float = 3.0
    mode: Mode = "drop"
    once: bool = False
    loop: bool = False
    masks: tuple[Polygon, ...] = ()

    def __post_init__(self) -> None:
        """Check; raises ValueError."""
        for name in ("fps", "open_timeout_s", "read_timeout_s", "stall_after_s", "backoff_max_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0, not {getattr(self, name)}")
        if self.transport not in ("tcp", "udp"):
            raise ValueError(f"transport must be tcp or udp, not {self.transport!r}")
        if self.mode not in ("drop", "wait"):
            raise ValueError(f"mode must be drop or wait, not {self.mode!r}")
        if self.once and self.loop:
            raise ValueError("once and loop exclude each other")
