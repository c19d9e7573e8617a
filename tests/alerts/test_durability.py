"""Killed at random, the program loses nothing, and neither do those who listen to it."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zmq
from alert_makers import START_S, WAIT_S, draft

from alerts import wire
from alerts.event import Event
from alerts.outbox import Outbox
from alerts.subscriber import AsyncSubscriber, Subscriber

ROOT = Path(__file__).parents[2]
KILLS = 8


@contextmanager
def program(outbox: Path, first: int, *addresses: str) -> Iterator[subprocess.Popen[str]]:
    """`publisher.py`, until the block is left: then it is killed, wherever it is."""
    command = [sys.executable, str(ROOT / "tests/alerts/publisher.py"), str(outbox), str(first)]
    with subprocess.Popen(
        [*command, *addresses],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGKILL)
            with suppress(BrokenPipeError):
                child.communicate()


class Holder(threading.Thread):
    """Subscribes, holds what it gets, and, if it is `restless`, comes and goes."""

    def __init__(self, addresses: list[str], place: Path, restless: int | None) -> None:
        super().__init__(name=place.name)
        self.addresses, self.place, self.restless = addresses, place, restless
        self.held: list[Event] = []
        self.lost = 0
        self.changed = threading.Condition()
        self.until: int | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        rng = random.Random(self.restless)
        while not self.stop.is_set():
            stay = rng.randrange(1, 700) if self.restless is not None else 10**9
            with Subscriber(
                *self.addresses, after=0, position=self.place, answer_timeout_s=0.3
            ) as events:
                for _ in range(stay):
                    event = None
                    while event is None and not self.stop.is_set():
                        event = events.next(0.05)
                    if event is None:
                        break
                    with self.changed:
                        self.held.append(event)
                        self.changed.notify_all()
                self.lost += events.lost

    def wait_for(self, seq: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: bool(self.held) and self.held[-1].seq >= seq, 20)


def test_kill_9_at_random_points(tmp_path: Path) -> None:
    """Two subscribers, one of which comes and goes, hold what was decided: all, once, in order."""
    path, rng = tmp_path / "alerts.db", random.Random(11)
    with program(path, 0) as child:
        assert child.stdout is not None
        addresses = child.stdout.readline().split()
    holders = [Holder(addresses, tmp_path / f"{n}.place", n) for n in (None, 1)]
    for holder in holders:
        holder.start()
    try:
        for attempt in range(KILLS):
            with program(path, 10_000 * attempt, *addresses) as child:
                assert child.stdin is not None
                assert child.stdout is not None
                if attempt % 4 == 3:  # while it starts: somewhere in opening, repairing, binding
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(rng.uniform(0.1, 0.5))
                    continue
                child.stdout.readline()
                child.stdin.write("go\n")
                child.stdin.flush()
                so_far = holders[0].held[-1].seq if holders[0].held else 0
                assert holders[0].wait_for(so_far + rng.randrange(1, 400))
        with program(path, 10_000 * KILLS, *addresses) as child:  # it lives, and is quiet
            assert child.stdout is not None
            child.stdout.readline()
            last = json.loads(stored_last(addresses))["last"]
            held = [(h.wait_for(last), len(h.held), h.lost, last) for h in holders]
            assert all(there for there, *_ in held), held
    finally:
        for holder in holders:
            holder.stop.set()
        for holder in holders:
            holder.join()
    with Outbox(path, START_S) as outbox:
        decided: list[bytes] = []
        while len(decided) < last:
            decided += outbox.after(len(decided)).bodies
    for holder in holders:
        assert holder.lost == 0
        assert [wire.encode(event) for event in holder.held] == decided[: len(holder.held)]
        assert len(holder.held) == last
    told = [(event.id, event.type) for event in map(wire.decode, decided)]
    assert len(told) == len(set(told))
    ids = {draft(10_000 * attempt).id for attempt in range(KILLS) if attempt % 4 != 3}
    assert ids <= {id_ for id_, _ in told}


def stored_last(addresses: list[str]) -> bytes:
    with zmq.Context() as context, context.socket(zmq.REQ) as sock:
        sock.linger = 0
        sock.rcvtimeo = round(WAIT_S * 1000)
        sock.connect(addresses[1])
        sock.send(b'{"after": 0, "limit": 1}')
        return sock.recv()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_killed_subscriber_repeats_one_event_at_most(tmp_path: Path, kind: str) -> None:
    """kill -9 of the subscriber: it goes on with what it was working on, and skips nothing."""
    count, now_s = 200, time.time()  # nothing is too old to be kept
    with Outbox(tmp_path / "alerts.db", now_s) as outbox:
        outbox.append([draft(n, t) for n in range(count // 2) for t in ("new", "end")], now_s)
    rng, got = random.Random(4), []
    with program(tmp_path / "alerts.db", 0) as child:
        assert child.stdout is not None
        addresses = child.stdout.readline().split()
        me = [sys.executable, __file__, kind, str(tmp_path / "place"), *addresses]
        while not got or got[-1] < count:
            path = f"{ROOT}{os.pathsep}{Path(__file__).parent}"
            with subprocess.Popen(
                me, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
            ) as listener:
                assert listener.stdout is not None
                left = count - got[-1] if got else count
                few = min(rng.randrange(1, 100), left)
                mine = [int(listener.stdout.readline()) for _ in range(few)]
                listener.send_signal(signal.SIGKILL)
                mine += [int(line) for line in listener.stdout.read().split("\n")[:-1] if line]
            assert mine[0] in ({got[-1], got[-1] + 1} if got else {1})
            assert mine == list(range(mine[0], mine[-1] + 1))
            got += mine


def listen(kind: str, place: str, addresses: list[str]) -> None:
    """Print numbers, one for each event, until killed."""
    if kind == "sync":
        with Subscriber(*addresses, after=0, position=place) as events:
            for event in events:
                print(event.seq, flush=True)
        return

    async def main() -> None:
        async with AsyncSubscriber(*addresses, after=0, position=place) as events:
            async for event in events:
                print(event.seq, flush=True)

    asyncio.run(main())


if __name__ == "__main__":
    listen(sys.argv[1], sys.argv[2], sys.argv[3:])
