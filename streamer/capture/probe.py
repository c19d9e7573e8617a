"""What a source is, found out by reading it for a while in a process of its own.

A decoder that aborts, or a read that never returns, is an answer there and not a crash here.
"""

import json
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from sorawatch import SourceError
from streamer.capture.clock import ArrivalClock, FrameClock, PlayClock, SystemClock
from streamer.capture.opener import OpenOptions, Reader, open_source
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source

_START_S: Final = 20.0  # for the child to start, on a machine that is busy
_DIAGNOSIS_S: Final = 10.0  # for finding out why an open failed, name resolution included


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was found. Sizes in px, rates in frames a second, times in seconds.

    `codec`: short name, may be empty. `fps_declared`: None if the source declares none that is
    plausible. `fps`: by the frames' own times; None with fewer than three frames.
    `frames`: how many were read; `frames_declared`: how many a file claims, None if it does not.
    `ended`: whether the source ended within the time, so that `frames` is all of them.
    `damaged`: frames that the decoder had to patch up, or that build on such.
    `first_frame_s`: from the beginning of the open to the first frame.
    """

    codec: str
    width: int
    height: int
    fps_declared: float | None
    fps: float | None
    frames: int
    frames_declared: int | None
    ended: bool
    damaged: int
    first_frame_s: float


def probe(
    source: Source, seconds: float = 5.0, settings: CaptureSettings | None = None
) -> ProbeResult:
    """Open a source, read it for at most `seconds`, and say what it is.

    A file is read as fast as it can be. Raises SourceError if it cannot be opened or gives no
    frame; reason `codec` if its decoder crashes, `timeout` if it does not come back in time.
    """
    settings = settings or CaptureSettings()
    deadline_s = settings.open_timeout_s + settings.read_timeout_s + seconds
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs,), name="sorawatch probe")
    process.start()
    theirs.close()
    try:
        what = {
            "source": source.url,
            "fps": source.fps,
            "seconds": seconds,
            "transport": settings.transport,
            "open_timeout_s": settings.open_timeout_s,
            "read_timeout_s": settings.read_timeout_s,
        }
        ours.send_bytes(json.dumps(what).encode())  # not an argument: it may hold a password
        if not ours.poll(deadline_s + _START_S + _DIAGNOSIS_S):
            raise SourceError(f"{source.masked}: reading it does not come to an end", "timeout")
        answer: dict[str, Any] = json.loads(ours.recv_bytes())
    except (EOFError, OSError) as error:
        process.join()
        raise SourceError(_last_words(source, process.exitcode or 0), "codec") from error
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
    if "error" in answer:
        raise SourceError(answer["error"], answer["reason"])
    return ProbeResult(**answer)


def _last_words(source: Source, status: int) -> str:
    if status < 0:
        return f"{source.masked}: its decoder crashed ({signal.Signals(-status).name})"
    return f"{source.masked}: reading it failed (exit status {status})"


def _child(connection: Connection) -> None:
    # The parent ends this process; and a core would hold the password.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a dying decoder prints is said by the parent, in words.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    try:
        answer = _measured(json.loads(connection.recv_bytes()))
    except SourceError as error:
        answer = {"error": str(error), "reason": error.reason}
    connection.send_bytes(json.dumps(answer).encode())


def _measured(what: dict[str, Any]) -> dict[str, Any]:
    source = Source.parse(what["source"], fps=what["fps"])
    options = OpenOptions(what["transport"], what["open_timeout_s"], what["read_timeout_s"])
    started_s = time.monotonic()
    reader = open_source(source, options)
    try:
        return asdict(_read(source, reader, started_s, what["seconds"]))
    finally:
        reader.close()


def _read(source: Source, reader: Reader, started_s: float, seconds: float) -> ProbeResult:
    clock: FrameClock = PlayClock() if reader.reads_ahead else ArrivalClock()
    now_ns = SystemClock().mono_ns
    width, height = reader.size
    frames = damaged = timed = 0
    ended = False
    first_ns = last_ns = 0
    first_frame_s = 0.0
    end_s = time.monotonic() + seconds
    while not frames or time.monotonic() < end_s:
        if not reader.grab():
            ended = True
            break
        if not frames:
            first_frame_s = time.monotonic() - started_s
            height, width = reader.retrieve().shape[:2]
        frames += 1
        damaged += bool(reader.damage)
        stamp = clock.stamp(reader.pts_s, now_ns())
        if stamp is not None:
            timed += 1
            last_ns = stamp.t_media_ns
            first_ns = first_ns or last_ns
    if not frames:
        raise SourceError(f"{source.masked}: no frame in it can be decoded", "codec")
    lasted_s = (last_ns - first_ns) / 1e9
    return ProbeResult(
        codec=reader.codec,
        width=width,
        height=height,
        fps_declared=reader.fps_declared,
        fps=(timed - 1) / lasted_s if timed > 2 and lasted_s > 0 else None,
        frames=frames,
        frames_declared=reader.frames_declared,
        ended=ended,
        damaged=damaged,
        first_frame_s=first_frame_s,
    )
