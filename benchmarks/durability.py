"""10,000 events at 500/s, the program killed with -9 twenty times, subscribers that come and go.

    python -m benchmarks.durability [--outbox FOLDER] [--events N] [--kills N]

Three processes stand around the program: one subscriber that stays, one that comes and goes, one
that stalls for seconds at a time and is killed with -9. What is decided is a list that is known
beforehand; a program that is killed begins again with the first of it that is not on disk. In the
end every subscriber has to hold, in order and once, what the outbox holds, and that all that was
decided. Then come 3,000 more at the same pace from a program that is left alone: latency is from
the decision (`submit`) to the subscriber that stays, the others going on as before; beside it, in
the same run and at the same pace, that of a bare PUB/SUB. Throughput is measured as in
`python -m benchmarks.alerts`.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import zmq

from alerts import wire
from alerts.event import Event
from alerts.outbox import Outbox
from alerts.subscriber import Subscriber
from alerts.writer import AlertWriter, WriterSettings
from benchmarks.alerts import bare, draft, durable
from benchmarks.report import report

PER_S = 500
CALM = 3_000  # told after the last kill
START_S = 1_763_802_000.0
MAX_AGE_DAYS = 1e6  # the drafts tell of 2025


def decide(outbox: str, total: int, addresses: list[str]) -> None:
    """The program: tells drafts from the first one that is not stored, at PER_S, until the last.

    Prints its addresses, then when each was decided, by the monotonic clock that processes share.
    """
    with Outbox(Path(outbox), time.time(), max_age_s=MAX_AGE_DAYS * 86_400) as before:
        known, after = set(), 0
        while after < before.last:
            page = before.after(after)
            known.update(told(body)[:2] for body in page.bodies)
            after = page.through
    settings = WriterSettings(Path(outbox), *addresses, max_age_days=MAX_AGE_DAYS)
    pause = threading.Event()
    with AlertWriter(settings) as writer:
        print(writer.publish_address, writer.catch_up_address, flush=True)
        sys.stdin.readline()
        begun_s, count = time.monotonic(), 0
        for number in range(total):
            made = draft(number)
            if (made.id, made.type) in known:
                continue
            pause.wait(max(begun_s + count / PER_S - time.monotonic(), 0))
            count += 1
            now_s = time.monotonic()
            assert writer.submit(made)
            print(number, now_s, flush=True)
        print("done", flush=True)
        sys.stdin.readline()


def told(body: bytes) -> tuple[str, str, int]:
    event = json.loads(body)
    return event["id"], event["type"], event["seq"]


def hold(addresses: list[str], place: str, kind: str, out: str) -> None:
    """A subscriber: writes `id type seq when` lines to `out`; stalls or leaves as its kind does."""
    rng = random.Random(kind + str(os.getpid()))
    pause = threading.Event()
    with open(out, "a", buffering=1) as file:
        while True:
            kept = None if kind == "stays" else place
            with Subscriber(*addresses, after=0, position=kept, answer_timeout_s=0.5) as events:
                for _ in range(rng.randrange(20, 1500) if kind == "leaves" else 10**9):
                    event = events.next()
                    assert event is not None
                    now_s = time.monotonic()
                    file.write(f"{event.id} {event.type} {event.seq} {now_s} {events.lost}\n")
                    if kind == "stalls" and rng.random() < 0.001:
                        pause.wait(rng.uniform(0.5, 3))
            pause.wait(rng.uniform(0, 0.5))


class Program:
    """The program under test, as a child; its lines are read by a thread."""

    def __init__(self, outbox: Path, total: int, addresses: list[str]) -> None:
        command = [sys.executable, "-m", "benchmarks.durability", "--decide", str(total)]
        self.child = subprocess.Popen(
            [*command, str(outbox), *addresses],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addresses = self.child.stdout.readline().split()
        self.decided_s: dict[int, float] = {}
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def _read(self) -> None:
        for line in self.child.stdout:
            words = line.split()
            if words == ["done"]:
                self.done.set()
            elif len(words) == 2:
                self.decided_s[int(words[0])] = float(words[1])
        self.done.set()

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.thread.join()
        self.child.stdin.close()

    def stop(self) -> None:
        self.child.stdin.close()
        self.child.wait()
        self.thread.join()


def held(out: Path) -> list[tuple[str, str, int, float, int]]:
    lines = (line.split() for line in out.read_text().splitlines())
    return [(w[0], w[1], int(w[2]), float(w[3]), int(w[4])) for w in lines if len(w) == 5]


def paced_bare_ms(count: int) -> list[float]:
    """A bare PUB/SUB at the same pace, the subscriber in a thread: latency of each."""
    body = wire.encode(Event.of(draft(0), "0123456789abcdef", 1))
    taken_ms: list[float] = []
    with zmq.Context() as context, context.socket(zmq.XPUB) as pub:
        port = pub.bind_to_random_port("tcp://127.0.0.1")

        def listen() -> None:
            with context.socket(zmq.SUB) as sub:
                sub.subscribe(b"")
                sub.connect(f"tcp://127.0.0.1:{port}")
                for _ in range(count):
                    sent, _body = sub.recv_multipart()
                    taken_ms.append((time.monotonic() - float(sent)) * 1e3)

        thread = threading.Thread(target=listen)
        thread.start()
        pub.recv()
        pause, begun_s = threading.Event(), time.monotonic()
        for number in range(count):
            pause.wait(max(begun_s + number / PER_S - time.monotonic(), 0))
            pub.send_multipart([str(time.monotonic()).encode(), body])
        thread.join()
    return taken_ms


def paced_sync_ms(folder: Path, count: int) -> list[float]:
    """What the disk alone takes, at the same pace: 4 KiB written over and synced."""
    taken_ms, pause = [], threading.Event()
    with (folder / "ballast").open("wb", buffering=0) as file:
        file.write(bytes(4096))
        begun_s = time.monotonic()
        for number in range(count):
            pause.wait(max(begun_s + number / PER_S - time.monotonic(), 0))
            start_s = time.monotonic()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fdatasync(file.fileno())
            taken_ms.append((time.monotonic() - start_s) * 1e3)
    return taken_ms


def cuts(taken_ms: list[float]) -> dict[str, float]:
    q = statistics.quantiles(taken_ms, n=100)
    return {"p50_ms": round(q[49], 2), "p99_ms": round(q[98], 2), "max_ms": round(max(taken_ms), 1)}


def chaos(folder: Path, total: int, kills: int) -> None:
    rng = random.Random(9)
    pace_s = total / PER_S / kills
    total += CALM
    spawn = multiprocessing.get_context("spawn")
    program = Program(folder / "alerts.db", total, ["tcp://127.0.0.1:0", "tcp://127.0.0.1:0"])
    addresses = program.addresses
    kinds = ("stays", "leaves", "stalls")

    def start(kind: str) -> multiprocessing.process.BaseProcess:
        files = str(folder / f"{kind}.place"), kind, str(folder / f"{kind}.held")
        process = spawn.Process(target=hold, args=(addresses, *files), name=kind)
        process.start()
        return process

    holders = {kind: start(kind) for kind in kinds}
    decided_s: dict[int, float] = {}
    subscribers_killed = 0
    for _ in range(kills):
        program.done.wait(rng.uniform(0.3, 1.7) * pace_s)
        program.kill()
        decided_s |= program.decided_s
        if rng.random() < 0.5:
            holders["stalls"].kill()
            holders["stalls"].join()
            holders["stalls"] = start("stalls")
            subscribers_killed += 1
        program = Program(folder / "alerts.db", total, addresses)
    told_when_killed = len(decided_s)
    program.done.wait()
    decided_s |= program.decided_s
    last = stored_last(addresses)
    patience = threading.Event()
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        ends = [held(folder / f"{kind}.held")[-1][2] for kind in kinds]
        if min(ends) == last:
            break
        patience.wait(0.2)
    for process in holders.values():
        process.kill()
        process.join()
    program.stop()
    with Outbox(folder / "alerts.db", START_S) as outbox:
        stored: list[tuple[str, str, int]] = []
        while len(stored) < last:
            stored += map(told, outbox.after(len(stored)).bodies)
    wanted = {(made.id, made.type) for made in map(draft, range(total))}
    ended = [(id_, type_) for id_, type_, _ in stored]
    figures = {}
    for kind in kinds:
        got = held(folder / f"{kind}.held")
        once: list[tuple[str, str, int]] = []
        for id_, type_, seq, *_ in got:
            if not once or seq > once[-1][2]:
                once.append((id_, type_, seq))
        figures[kind] = {
            "held": len(got),
            "lost": len(set(stored[:last]) - set(once)),
            "handed_out_again_after_its_kill": len(got) - len(once),
            "in_order": once == stored[: len(once)],
        }
    numbers = {(made.id, made.type): n for n, made in enumerate(map(draft, range(total)))}
    taken_ms = []
    for id_, type_, _seq, when_s, _lost in held(folder / "stays.held"):
        number = numbers.get((id_, type_), -1)
        if number >= total - CALM:
            taken_ms.append((when_s - decided_s[number]) * 1e3)
    bare_ms = paced_bare_ms(CALM)
    report(
        "killed at random",
        decided=total,
        per_s=PER_S,
        program_killed=kills,
        events_when_last_killed=told_when_killed,
        subscribers_killed=subscribers_killed,
        stored=last,
        decided_but_not_stored=len(wanted - set(ended)),
        told_twice=len(ended) - len(set(ended)),
        subscribers=figures,
    )
    report(
        "decision to subscriber at that pace, on disk first",
        samples=len(taken_ms),
        **cuts(taken_ms),
        bare=cuts(bare_ms),
        disk_alone=cuts(paced_sync_ms(folder, CALM // 2)),
        p99_to_bare=round(cuts(taken_ms)["p99_ms"] / cuts(bare_ms)["p99_ms"], 1),
    )


def stored_last(addresses: list[str]) -> int:
    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.connect(addresses[1])
        last = -1
        while True:  # until all that was submitted is stored
            sock.send(b'{"after": 0, "limit": 1}')
            found = json.loads(sock.recv())["last"]
            if found == last:
                return last
            last = found
            threading.Event().wait(0.5)


def main() -> None:
    """Run all, print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outbox", type=Path, help="where the outbox is made (default: temporary)")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--decide", type=int, help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.decide is not None:
        decide(given.rest[0], given.decide, given.rest[1:])
        return
    with tempfile.TemporaryDirectory(dir=given.outbox) as folder:
        chaos(Path(folder), given.events, given.kills)
    with zmq.Context() as context, tempfile.TemporaryDirectory(dir=given.outbox) as folder:
        _bare_us, bare_rate = bare(context)
        _durable_us, rate = durable(context, Path(folder))
    report("durable events", per_s=rate, bare_per_s=bare_rate, to_bare=round(rate / bare_rate, 3))


if __name__ == "__main__":
    main()
