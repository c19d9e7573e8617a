"""What comes before watching: the footage is made, and what is normal in it is learned."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streamer.demo.children import Children, LineReader, sorawatch_command
from streamer.demo.plan import Plan
from streamer.demo.prepare import Job, to_argument

Tell = Callable[[str], None]
"""Takes a line for people."""

_POLL_S = 0.1


class _Line:
    """One line that is rewritten where that is a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()

    def clear(self) -> None:
        self.show("")


def make_footage(children: Children, jobs: Sequence[Job], tell: Tell) -> None:
    """Do the jobs, as many at once as there are cores."""
    began_s = time.monotonic()
    rendered = any(type(job).__name__ == "RenderJob" for job in jobs)
    tell(f"{'rendering' if rendered else 'encoding'} {len(jobs)} films ...")
    waiting = sorted(enumerate(jobs), key=lambda pair: -pair[1].frames)
    running: dict[int, tuple[subprocess.Popen[str], LineReader]] = {}
    done = dict.fromkeys(range(len(jobs)), 0)
    total = max(1, sum(job.frames for job in jobs))
    line = _Line()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            number, job = waiting.pop(0)
            command = [sys.executable, "-m", "streamer.demo.prepare", to_argument(job)]
            child = children.start(f"footage-{number}", command, talks=True)
            running[number] = child, LineReader(child)
        for number, (child, reader) in list(running.items()):
            for text in reader.lines():
                done[number] = int(text)
            status = child.poll()
            if status:
                raise children.failed(child)
            if status == 0:
                done[number] = jobs[number].frames
                del running[number]
        line.show(f"{sum(done.values())} of {total} frames")
        wait_for_any([child for child, _ in running.values()])
    line.clear()
    seconds = time.monotonic() - began_s
    tell(f"  {sum(done.values())} frames of H.264 in {seconds:.0f} s")


def wait_for_any(running: Sequence["subprocess.Popen[str]"]) -> None:
    """A moment, or until the first of them ends."""
    if running:
        try:
            running[0].wait(_POLL_S)
        except subprocess.TimeoutExpired:
            return


def learn(children: Children, plan: Plan, out: Path, tell: Tell) -> None:
    """`sorawatch fit` for everything there is to learn, side by side."""
    began_s = time.monotonic()
    names = ", ".join(plan.normal)
    tell(f"learning what is normal: {names} (sorawatch fit) ...")
    running = {}
    for name, films in plan.normal.items():
        target = out / "normal" / f"{name}.normal"
        target.parent.mkdir(exist_ok=True)
        command = [*sorawatch_command(), "fit", *map(str, films), "--out", str(target)]
        running[name] = children.start(f"fit-{name}", command)
    line = _Line()
    while running:
        for name, child in list(running.items()):
            if child.poll() is not None:
                del running[name]
                if child.returncode != 0:
                    raise children.failed(child)
                line.clear()
                tell(f"  {name}: learned in {time.monotonic() - began_s:.0f} s")
        line.show(f"learning, {time.monotonic() - began_s:.0f} s")
        wait_for_any(list(running.values()))
    line.clear()
