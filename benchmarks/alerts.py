"""What a durable alert costs beside a bare PUB/SUB message of the same size, in the same run.

    python -m benchmarks.alerts [--outbox FOLDER]

Latency is from `submit` (bare: `send`) to the subscriber's `recv`, one message at a time;
throughput is that of 10,000 messages submitted at once. The outbox syncs its disk for each
batch: give a FOLDER on the disk that you mean.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from alerts import wire
from alerts.event import Event, EventDraft, Explanation, Region, event_id
from alerts.judge import Judge, Observation
from alerts.writer import AlertWriter, WriterSettings
from benchmarks.report import report, time_us

WARM_UP, SINGLE, MANY = 100, 2_000, 10_000
START_S = 1_763_802_000.0


def draft(number: int) -> EventDraft:
    start_s = START_S + number // 2
    end = {"end_time": start_s + 2, "ended_by": "over"} if number % 2 else {}
    return EventDraft(
        type="end" if number % 2 else "new",
        id=event_id("gate", "anomaly", None, start_s),
        camera="gate",
        kind="anomaly",
        severity="alert",
        time=start_s,
        start_time=start_s,
        score=7.3,
        threshold=5.1,
        expected_per_day=0.04,
        region=Region(x=0.41, y=0.22, width=0.08, height=0.17),
        explanation=Explanation(text="faster than anything seen here", parts={"speed": 1.0}),
        **end,
    )


def listen(context: zmq.Context, address: str) -> zmq.Socket:
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.RCVHWM, 0)
    sub.subscribe(b"")
    sub.connect(address)
    return sub


def latencies_us(send: Callable[[int], object], receive: Callable[[], object]) -> dict[str, float]:
    taken_ns = []
    for number in range(WARM_UP + SINGLE):
        start_ns = time.perf_counter_ns()
        send(number)
        receive()
        taken_ns.append(time.perf_counter_ns() - start_ns)
    cuts = statistics.quantiles(taken_ns[WARM_UP:], n=100)
    return {"p50_us": round(cuts[49] / 1e3, 1), "p99_us": round(cuts[98] / 1e3, 1)}


def per_second(send: Callable[[int], object], receive: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    for number in range(MANY):
        send(number)
    for _ in range(MANY):
        receive()
    return round(MANY / (time.perf_counter() - start_s))


def bare(context: zmq.Context) -> tuple[dict[str, float], float]:
    body = wire.encode(Event.of(draft(0), "0123456789abcdef", 1))
    with context.socket(zmq.XPUB) as pub:
        pub.setsockopt(zmq.SNDHWM, 0)
        port = pub.bind_to_random_port("tcp://127.0.0.1")
        with listen(context, f"tcp://127.0.0.1:{port}") as sub:
            pub.recv()  # the subscription is in force

            def send(_number: int) -> None:
                pub.send_multipart([b"events/gate", body])

            return latencies_us(send, sub.recv_multipart), per_second(send, sub.recv_multipart)


def durable(context: zmq.Context, folder: Path) -> tuple[dict[str, float], float]:
    drafts = [draft(number) for number in range(WARM_UP + SINGLE + MANY)]
    settings = WriterSettings(folder / "alerts.db", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0")
    with (
        AlertWriter(settings) as writer,
        listen(context, writer.publish_address) as sub,
    ):
        sub.recv_multipart()  # `available`: the subscription is in force

        def receive() -> None:
            while sub.recv_multipart()[0] == wire.AVAILABLE:
                pass

        one_by_one = latencies_us(lambda number: writer.submit(drafts[number]), receive)
        later = WARM_UP + SINGLE
        at_once = per_second(lambda number: writer.submit(drafts[later + number]), receive)
        assert writer.lost == 0
        return one_by_one, at_once


def judge() -> dict[str, float]:
    quiet = Judge("gate", 5.0)
    clock = iter(range(10**9))

    def step() -> None:
        quiet.step(Observation(next(clock) * 0.2, 1.0, None, {}, "", None))

    return time_us(step)


def main() -> None:
    """Run all, print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outbox", type=Path, help="where the outbox is made (default: temporary)")
    place = parser.parse_args().outbox
    with zmq.Context() as context, tempfile.TemporaryDirectory(dir=place) as folder:
        bare_us, bare_rate = bare(context)
        durable_us, durable_rate = durable(context, Path(folder))
    report("bare PUB/SUB, one at a time", **bare_us)
    report(
        "alert to subscriber, on disk first",
        **durable_us,
        p50_to_bare=round(durable_us["p50_us"] / bare_us["p50_us"], 1),
        p99_to_bare=round(durable_us["p99_us"] / bare_us["p99_us"], 1),
    )
    report("bare PUB/SUB", messages_per_s=bare_rate)
    report(
        "durable alerts",
        messages_per_s=durable_rate,
        to_bare=round(durable_rate / bare_rate, 3),
    )
    report("judge, a frame in which nothing is unusual", **judge())


if __name__ == "__main__":
    main()
