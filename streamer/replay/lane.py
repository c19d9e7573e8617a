"""One run on its way: its source read, its camera watched, its trace and messages written."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from alerts.event import EventDraft, Provenance
from detectors.arrayfile import write_atomic
from detectors.detector import Detector
from detectors.normality import Normality
from detectors.score import Score
from sorawatch import SourceError
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.capture.windows import RingWindow
from streamer.config import CameraConfig
from streamer.reading import SourceReader
from streamer.replay.album import Album
from streamer.trace.manifest import trace_folder
from streamer.trace.row import UNSCORED, TraceRow
from streamer.trace.write import TraceWriter
from streamer.watch import CameraWatch

_TOLD_SUFFIX: Final = ".events.jsonl"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs of a replay share. `out`: its folder. `provenance`: goes into every event."""

    camera: str
    config: CameraConfig
    normality: Normality
    provenance: Provenance
    out: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a run came. Times are of its first and last frame; None where there was none."""

    start_utc_s: float | None
    end_utc_s: float | None
    frames_read: int
    frames_scored: int
    rows: int
    problem: str | None


def told_path(out: Path, camera: str, stem: str) -> Path:
    """Where the messages of a run are kept until they are numbered."""
    return trace_folder(out, camera) / f"{stem}{_TOLD_SUFFIX}"


class Lane:
    """A run being replayed. A context manager, for one thread.

    `key`: its camera's name in the detector. `utc_s`: of the frame walked last.
    """

    def __init__(
        self,
        key: str,
        stem: str,
        source: Source,
        setting: Setting,
        detector: Detector,
        *,
        tell: Callable[[list[EventDraft]], None] = lambda _drafts: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`stem`: of its files. `tell`: hears messages as they are made.

        `check`: is called while waiting; what it raises ends the lane.
        """
        self.key = key
        self.utc_s: float | None = None
        self._stem = stem
        self._source = source
        self._setting = setting
        self._detector = detector
        self._tell = tell
        self._check = check
        self._told: list[EventDraft] = []
        self._start_utc_s: float | None = None
        self._number = -1
        self._scored = 0

    def __enter__(self) -> Self:
        """Open the source, and the files beside those that it will leave."""
        setting, config = self._setting, self._setting.config
        with ExitStack() as stack:
            self._writer = stack.enter_context(
                TraceWriter(trace_folder(setting.out, setting.camera) / f"{self._stem}.parquet")
            )
            reader = stack.enter_context(
                SourceReader([self._source], config.detect.fps, config.masks)
            )
            self._sources = reader.sources()
            stack.callback(self._sources.close)
            self._opened = next(self._sources)
            self._watch = CameraWatch(
                setting.camera,
                setting.config,
                self._opened.ring,
                self._detector,
                normality=setting.normality,
                provenance=setting.provenance,
                snapshots=Album(setting.out),
                record=self._record,
                key=self.key,
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the source; what was not finished is gone."""
        self._stack.__exit__(kind, error, traceback)

    def next(self) -> RingWindow | None:
        """The next window, waited for; None at the end. SourceError when the source breaks off."""
        watch = self._watch
        while True:
            look = watch.look()
            if look is None:
                self._check()
                if not self._opened.more():
                    return None
                continue
            header = look.header
            if header.number <= self._number:  # a worker that died was replaced, and begins anew
                raise SourceError(f"its decoder died after frame {self._number}", "codec")
            self._number, self.utc_s = header.number, header.utc_ns / 1e9
            if self._start_utc_s is None:
                self._start_utc_s = self.utc_s
                online = StateChange(
                    self._setting.camera, CameraState.ONLINE, None, "", 0, self.utc_s
                )
                self._say(watch.change_state(online))
            self._say(look.drafts)
            if look.seen is not None:
                return look.seen

    def take(self, seen: RingWindow, score: Score | None) -> None:
        """What the detector said of the window that `next` gave."""
        self._say(self._watch.observe(seen, score))

    def finish(self, problem: str | None = None) -> Outcome:
        """Close what is open and write what there is; how far it came.

        ResourceError when the disk does not take it.
        """
        if self.utc_s is not None:
            self._say(self._watch.close(self.utc_s, "stopped"))
            lines = [draft.model_dump_json() for draft in self._told]
            path = told_path(self._setting.out, self._setting.camera, self._stem)
            write_atomic(path, "".join(line + "\n" for line in lines).encode())
            self._writer.finish()
        return Outcome(
            start_utc_s=self._start_utc_s,
            end_utc_s=self.utc_s,
            frames_read=self._opened.ring.counters.frames_read,
            frames_scored=self._scored,
            rows=self._writer.rows,
            problem=problem,
        )

    def _record(self, row: TraceRow) -> None:
        self._writer.add(row)
        self._scored += row.gate not in UNSCORED

    def _say(self, drafts: Sequence[EventDraft]) -> None:
        if drafts:
            self._told += drafts
            self._tell(list(drafts))
