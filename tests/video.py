"""Small real videos for tests, drawn and encoded here: every frame carries its number.

The scene is a still, textured background over which a bright box walks from left to right, with
the frame's number as black and white cells along the top, legible after lossy compression and
after reduction to analysis size.
"""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

BITS = 12


def draw(number: int, width: int = 320, height: int = 240) -> Picture:
    """Frame `number` of the scene, (height, width, 3) uint8 BGR; numbers up to 4095 are legible."""
    rng = np.random.default_rng(width * 10_007 + height)
    coarse = rng.integers(60, 170, (max(2, height // 16), max(2, width // 16), 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    side = max(4, height // 6)
    left = number * max(1, width // 60) % max(1, width - side)
    top = height // 2
    picture[top : top + side, left : left + side] = (40, 220, 240)
    for bit in range(BITS):
        cell = slice(bit * width // BITS, (bit + 1) * width // BITS)
        picture[: max(1, height // 10), cell] = 255 * (number >> bit & 1)
    return picture


def number_of(picture: Picture) -> int:
    """The number that a picture of the scene carries, in colour or luma, at any size."""
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    height, width = grey.shape
    row = grey[max(0, height // 20 - 1) : max(1, height // 20 + 1)].mean(axis=0)
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(centres) if row[x] > 127)


def write_video(
    path: Path,
    frames: int = 30,
    *,
    fps: float = 15,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    gop: int = 15,
    first: int = 0,
    times_s: list[float] | None = None,
    slices: int = 1,
) -> Path:
    """Encode frames `first` and following; `size` is (width, height). Returns `path`.

    `times_s`: presentation time of every frame, instead of an even `fps`. The container is told
    by the suffix.
    """
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        stream.thread_count = 1
        stream.max_b_frames = 0
        if codec == "libx264":
            stream.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "x264-params": f"slices={slices}:scenecut=0",
            }
        if codec == "libx265":
            stream.options = {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0"}
        # Some old codecs and containers know nothing but whole frames.
        base = Fraction(1, 90_000) if codec in ("libx264", "libx265") else 1 / rate
        stream.codec_context.time_base = base
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(first + index, *size), format="bgr24")
            time_s = times_s[index] if times_s is not None else index / fps
            frame.pts = round(time_s / base)
            frame.time_base = base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def write_folder(
    path: Path, frames: int = 10, *, size: tuple[int, int] = (320, 240), suffix: str = ".png"
) -> Path:
    """A folder of pictures named 0.png, 1.png ... 10.png, so that only natural order is right."""
    path.mkdir(parents=True)
    for number in range(frames):
        if not cv2.imwrite(str(path / f"{number}{suffix}"), draw(number, *size)):
            raise OSError(f"cannot write {suffix}")
    return path


def damage(source: Path, target: Path, *, frames: set[int], seed: int = 1) -> Path:
    """Copy a video, spoiling bytes in the packets of these frames; returns `target`.

    Headers, and the first few bytes of a packet, stay as they are, so that it is the picture that
    is damaged and not its framing. Matroska, whatever the source.
    """
    rng = random.Random(seed)
    with av.open(str(source)) as incoming, av.open(str(target), "w", format="matroska") as outgoing:
        stream = incoming.streams.video[0]
        copy = outgoing.add_stream_from_template(stream)
        packets = (packet for packet in incoming.demux(stream) if packet.dts is not None)
        for index, packet in enumerate(packets):
            data = bytearray(bytes(packet))
            if index in frames:
                for _ in range(8):
                    data[rng.randrange(len(data) // 4, len(data))] ^= 0xFF
            spoilt: Any = av.Packet(bytes(data))
            spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
            spoilt.is_keyframe, spoilt.stream = packet.is_keyframe, copy
            outgoing.mux(spoilt)
    return target
