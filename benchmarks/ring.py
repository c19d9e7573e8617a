"""What the frame ring and its windows cost, beside a plain copy of the same bytes.

    python -m benchmarks.ring

Both sides run in turn in one process: two would only add the scheduler's mood to it.
"""

from itertools import count, cycle

import numpy as np

from benchmarks.report import report, time_us
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.frame import FrameHeader
from streamer.capture.ring import FrameRing, ring_bytes
from streamer.capture.windows import WindowCutter

SLOTS = 16
LUMA, PICTURE = (101, 180), (360, 640)  # a camera of 16:9
BYTES = LUMA[0] * LUMA[1] + PICTURE[0] * PICTURE[1] * 3


def benchmark_copy() -> None:
    source = np.zeros(BYTES, np.uint8)
    # As many places as the ring has, or the processor's cache would hold them all.
    places = cycle(np.zeros((SLOTS, BYTES), np.uint8))
    report("plain copy of a frame", bytes=BYTES, **time_us(lambda: np.copyto(next(places), source)))


def benchmark_ring() -> None:
    luma, picture = np.zeros(LUMA, np.uint8), np.zeros((*PICTURE, 3), np.uint8)
    times_ns = count(0, 200_000_000)
    with FrameRing.create(SLOTS) as ring, Doorbell() as bell:
        cutter = WindowCutter(ring)

        def write() -> None:
            views = ring.begin(LUMA, PICTURE)
            np.copyto(views.luma, luma)
            np.copyto(views.picture, picture)
            commit()

        def write_header() -> None:
            ring.begin(LUMA, PICTURE)
            commit()

        def commit() -> None:
            time_ns = next(times_ns)
            ring.commit(FrameHeader(0, time_ns, time_ns, time_ns))

        def write_header_and_cut() -> None:
            write_header()
            assert cutter.next().intact()

        report("ring write", bytes=BYTES, **time_us(write))
        alone = time_us(write_header)
        report("ring write without pixels", **alone)
        while cutter.next():
            pass
        together = time_us(write_header_and_cut)
        cut = {key: round(together[key] - alone[key], 2) for key in together}
        report("cut a window of 8 and check it", **cut)
        report("look when there is nothing new", **time_us(cutter.next))
        write_header()
        report(
            "copy the picture", bytes=3 * PICTURE[0] * PICTURE[1], **time_us(cutter.next().picture)
        )
        report("ring the bell", **time_us(bell.ring))
        report("ring it and answer", **time_us(lambda: (bell.ring(), wait([bell], 1))))


def benchmark_life() -> None:
    def live() -> None:
        with FrameRing.create(SLOTS):
            pass

    report("make and remove a ring", bytes=ring_bytes(SLOTS), **time_us(live, 30, calls=1))


if __name__ == "__main__":
    benchmark_copy()
    benchmark_ring()
    benchmark_life()
