"""Replays runs in processes, and keeps the folder whole at every moment.

Runs are given out one by one to as many jobs as there are to be; what comes of a run depends on
nothing but the run. After each the manifest is written, so that whatever happens next, what is
finished stays usable and `resume` goes on from there.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from alerts.event import Event, EventDraft
from alerts.writer import AlertWriter
from detectors.arrayfile import write_atomic
from sorawatch import (
    ConfigError,
    ResourceError,
    SorawatchError,
    SourceError,
)
from streamer.capture.ring import check_budget, ring_bytes
from streamer.config import CameraConfig, Config, resolve
from streamer.opening import writer_settings
from streamer.reading import SLOTS
from streamer.replay.folder import check_out, forget_camera, lock_folder, write_events
from streamer.replay.job import Order, error_of
from streamer.replay.plan import Run
from streamer.replay.process import LEAVE_S, JobProcess
from streamer.replay.resume import finished, made_with
from streamer.replay_report.report import write_report
from streamer.trace.manifest import Manifest, SourceRecord, normal_path

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far it is. `done_s`, `total_s`: seconds of footage, as far as known; `took_s`: real."""

    sources_done: int
    sources: int
    done_s: float
    total_s: float
    took_s: float

    @property
    def left_s(self) -> float | None:
        """Real time left, None before anything can be said."""
        if self.done_s <= 0 or self.took_s < 1.0:
            return None
        return max(0.0, self.total_s - self.done_s) * self.took_s / self.done_s


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What was done. `problems`: of sources, each naming its own. `events`: messages, all told."""

    out: Path
    camera: str
    sources: int
    resumed: int
    footage_s: float
    took_s: float
    events: int
    alerts: int
    problems: tuple[str, ...]
    incomplete: int


def replay(
    runs: Sequence[Run],
    config: Config,
    camera: str,
    out: Path,
    *,
    jobs: int = 1,
    batch: int = 1,
    speed: float | None = None,
    resume: bool = False,
    on_progress: Callable[[ReplayProgress], None] = lambda _progress: None,
) -> ReplayReport:
    """Replay `runs` as `camera` of `config` would have seen them, into the folder `out`.

    `jobs` processes work at once, each on `batch` runs; neither changes what comes out, nor does
    `speed`: with one (1: as it happened) runs come one after the other, at that many times their
    own pace, and messages are published as if live. `resume` goes on with what an earlier replay
    left; without it that is replaced. Other cameras' replays in `out` stay.

    A source that breaks off keeps what was read of it; the rest goes on. Raises ConfigError,
    ModelError and NormalityError for what cannot be used, SourceError where no source can be
    opened, ReplayError where `resume` would mix what does not belong together, ResourceError where
    the disk or the machine has no room: what was finished is kept then, as when it is interrupted.
    """
    if jobs < 1 or batch < 1 or (speed is not None and not 0 < speed < 1e6):
        raise ConfigError("jobs, batch and speed must be above 0")
    cameras = resolve(config)
    if camera not in cameras:
        known = ", ".join(cameras)
        raise ConfigError(f"the configuration has no camera {camera!r}; it has: {known}")
    if all(run.dead for run in runs):  # a wrong name must not cost an earlier replay
        raise SourceError(f"no source can be read: {runs[0].problem}", "codec")
    if speed is not None:
        jobs = batch = 1
    with _Replay(runs, config, camera, cameras[camera], out, resume) as work:
        return work.run(jobs, batch, speed, on_progress)


class _Replay:
    """One call of `replay`."""

    def __init__(
        self,
        runs: Sequence[Run],
        config: Config,
        camera: str,
        settings: CameraConfig,
        out: Path,
        resume: bool,
    ) -> None:
        self._runs = runs
        self._config = config
        self._camera = camera
        self._settings = settings
        self._out = out.absolute()
        self._resume = resume
        self._done: dict[int, SourceRecord] = {}
        self._resumed = 0
        self._jobs: list[JobProcess] = []
        self._writer: AlertWriter | None = None
        self._logged: set[str] = set()

    def __enter__(self) -> Self:
        """Check everything, and make the folder ready; nothing runs yet."""
        check_out(self._out)
        with ExitStack() as stack:
            stack.callback(os.close, lock_folder(self._out))
            self._prepare()
            self._stack = stack.pop_all()
        return self

    def _prepare(self) -> None:
        before = check_out(self._out)
        facts, normal = made_with(self._config.detect, self._camera, self._settings)
        kept = {}
        if self._resume:
            kept = finished(self._out, before, self._camera, facts, self._runs)
        names = {record.file.partition(".")[0] for record in kept.values() if record.file}
        free = (
            stem for n in range(len(self._runs) + len(names)) if (stem := f"{n:04}") not in names
        )
        self._stems: dict[int, str] = {}
        for index, run in enumerate(self._runs):
            if index in kept:
                self._done[index] = kept[index]
            elif run.dead:
                self._done[index] = _record(run, None, 0, 0, complete=False, problem=run.problem)
            else:
                self._stems[index] = next(free)
        self._resumed = len(kept)
        others = {} if before is None else dict(before.cameras)
        others.pop(self._camera, None)
        self._others, self._facts = others, facts
        self._save()  # first: it must not name what is removed
        forget_camera(self._out, self._camera, frozenset(names))
        write_atomic(normal_path(self._out, self._camera), normal)

    def __exit__(
        self,
        _type: type[BaseException] | None,
        value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the jobs. What is finished is put together, if the disk takes it."""
        for job in self._jobs:
            job.end()
        if value is not None:
            try:
                write_events(self._out, self._manifest())
            except SorawatchError as exc:
                log.warning("%s", exc)
        self._stack.close()

    def run(
        self,
        jobs: int,
        batch: int,
        speed: float | None,
        on_progress: Callable[[ReplayProgress], None],
    ) -> ReplayReport:
        """Do all that is to be done."""
        started_s = time.monotonic()
        with ExitStack() as stack:
            if speed is not None:
                # An outbox of its own: what happened last week is no news to those who listen to
                # the running program.
                folder = stack.enter_context(TemporaryDirectory(prefix="sorawatch-replay-"))
                settings = writer_settings(self._config.alerts)
                settings = replace(settings, outbox=Path(folder) / "alerts.db")
                self._writer = stack.enter_context(AlertWriter(settings))
            try:
                self._work(jobs, batch, speed, on_progress, started_s)
                events = write_events(self._out, self._manifest())
                write_report(self._out)
            except ResourceError as exc:
                done = sum(record.complete for record in self._done.values())
                raise ResourceError(
                    f"{exc}; the {done} sources that were finished are kept: make room, then go "
                    "on with --resume"
                ) from exc
        return self._report(events, time.monotonic() - started_s)

    # The work.

    def _work(
        self,
        jobs: int,
        batch: int,
        speed: float | None,
        on_progress: Callable[[ReplayProgress], None],
        started_s: float,
    ) -> None:
        left = iter(sorted(self._stems))
        jobs = min(jobs, -(-len(self._stems) // batch))
        check_budget(jobs * batch * ring_bytes(SLOTS))
        detect = self._config.detect
        order = Order(
            camera=self._camera,
            config=self._settings,
            config_sha256=self._facts.config_sha256,
            normal=normal_path(self._out, self._camera),
            encoder=None if detect.encoder == "off"
            else "" if detect.encoder == "builtin" else str(detect.encoder),
            device=detect.device,
            out=self._out,
            batch=batch,
            speed=speed,
            log_level=logging.getLogger().getEffectiveLevel(),
        )  # fmt: skip
        self._jobs = [JobProcess(order) for _ in range(jobs)]
        working = {job.connection: job for job in self._jobs}
        while working:
            for ready in wait(list(working), _LOOK_S):
                assert isinstance(ready, Connection)  # noqa: S101 - nothing else is waited for
                job = working[ready]
                try:
                    message = json.loads(ready.recv_bytes())
                except (EOFError, OSError):
                    del working[ready]
                    self._lost(job)
                    continue
                if message["op"] == "next":
                    index = next(left, None)
                    if index is None:
                        job.send({})
                    else:
                        job.runs[index] = None
                        source = self._runs[index].source.url
                        job.send({"run": index, "stem": self._stems[index], "source": source})
                else:
                    self._hear(job, message)
            on_progress(self._progress(started_s))
        if any(index not in self._done for index in self._stems):
            raise SorawatchError(
                "the replay's processes died before all sources were done (killed, or out of "
                "memory?): go on with --resume"
            )

    def _hear(self, job: JobProcess, message: dict[str, Any]) -> None:
        if message["op"] == "at":
            for index, utc_s in message["runs"].items():
                job.runs[int(index)] = utc_s
        elif message["op"] == "tell" and self._writer is not None:
            for draft in message["drafts"]:
                self._writer.submit(EventDraft.model_validate(draft))
        elif message["op"] == "log":
            if message["text"] not in self._logged:  # each run says the same of its normality
                self._logged.add(message["text"])
                logging.getLogger(message["logger"]).log(message["level"], message["text"])
        elif message["op"] == "done":
            index = message["run"]
            job.runs.pop(index, None)
            self._finished(index, message)
        elif message["op"] == "failed":
            raise error_of(message["kind"], message["text"])

    def _finished(self, index: int, message: dict[str, Any]) -> None:
        run, problem = self._runs[index], message["problem"]
        name = f"{self._stems[index]}.parquet" if message["rows"] else None
        record = _record(
            run,
            name,
            message["frames_read"],
            message["frames_scored"],
            complete=problem is None,
            problem=_joined(run.problem, problem),
        )
        if message["end_utc_s"] is not None:
            record = record.model_copy(
                update={"start_utc_s": message["start_utc_s"], "end_utc_s": message["end_utc_s"]}
            )
        self._done[index] = record
        self._save()

    def _lost(self, job: JobProcess) -> None:
        """A job has ended: well, or in the middle of something."""
        job.process.join(LEAVE_S)
        for index in job.runs:
            how = f"its replay process died (exit status {job.process.exitcode})"
            run = self._runs[index]
            self._done[index] = _record(run, None, 0, 0, complete=False, problem=how)
            self._save()
        job.runs.clear()

    # What is left behind.

    def _manifest(self) -> Manifest:
        sources = tuple(self._done[index] for index in sorted(self._done))
        mine = self._facts.model_copy(update={"sources": sources})
        return Manifest(cameras={**self._others, self._camera: mine})

    def _save(self) -> None:
        self._manifest().save(self._out)

    def _progress(self, started_s: float) -> ReplayProgress:
        total_s = done_s = 0.0
        for index in self._stems:
            run = self._runs[index]
            total_s += run.end_utc_s - run.start_utc_s
            if index in self._done:
                done_s += run.end_utc_s - run.start_utc_s
        for job in self._jobs:
            for index, utc_s in job.runs.items():
                if utc_s is not None:
                    done_s += max(0.0, utc_s - self._runs[index].start_utc_s)
        return ReplayProgress(
            len(self._done), len(self._runs), done_s, total_s, time.monotonic() - started_s
        )

    def _report(self, events: list[Event], took_s: float) -> ReplayReport:
        records = [self._done[index] for index in sorted(self._done)]
        mine = [event for event in events if event.camera == self._camera]
        return ReplayReport(
            out=self._out,
            camera=self._camera,
            sources=len(records),
            resumed=self._resumed,
            footage_s=sum(r.end_utc_s - r.start_utc_s for r in records if r.file is not None),
            took_s=took_s,
            events=len(mine),
            alerts=sum(event.kind == "anomaly" and event.type == "new" for event in mine),
            problems=tuple(f"{r.source}: {r.problem}" for r in records if r.problem is not None),
            incomplete=sum(not r.complete for r in records),
        )


def _record(
    run: Run, name: str | None, read: int, scored: int, *, complete: bool, problem: str | None
) -> SourceRecord:
    return SourceRecord(
        file=name,
        source=run.text,
        start_utc_s=run.start_utc_s,
        end_utc_s=run.end_utc_s,
        frames_read=read,
        frames_scored=scored,
        complete=complete,
        problem=None if problem is None else problem.removeprefix(f"{run.text}: "),
        identity=run.identity,
    )


def _joined(*texts: str | None) -> str | None:
    said = [text for text in texts if text]
    return "; ".join(said) or None
