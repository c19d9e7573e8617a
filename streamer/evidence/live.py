"""Pictures and clips of the running program: made as events are told, and kept within bounds."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

from alerts.event import EventDraft
from streamer.chores import Chores
from streamer.config_alerts import AlertsConfig
from streamer.evidence.desk import Clips
from streamer.evidence.keeper import Kept, keep, remove_unfinished
from streamer.evidence.snapshots import LiveSnapshots
from streamer.opening import clip_settings, evidence_bounds, evidence_link
from streamer.status import EvidenceStatus

_FORGET_EVERY_S: Final = 3600.0
_KEEP_EVERY_S: Final = 60.0


class LiveEvidence:
    """What `alerts.evidence` or `alerts.snapshots` asks for; nothing where neither is there.

    A context manager, to be left before the writer. All but `status` belongs to the analysis
    thread; looking through the folder is a chore.
    """

    def __init__(
        self, config: AlertsConfig, chores: Chores, tell: Callable[[EventDraft], bool]
    ) -> None:
        """`tell` takes messages that were held until their clip was there; from any thread."""
        self._config, self._chores, self._tell = config, chores, tell
        self._wanted = wanted = config.evidence
        self._link = None if wanted is None else evidence_link(wanted)
        folder = config.snapshots if wanted is None else wanted.folder
        self.snapshots = None if folder is None else LiveSnapshots(folder, self._link)
        self._clips: Clips | None = None
        self._open: set[str] = set()
        self._kept = Kept(0, 0, 0)
        self._keeping = False
        self._keep_at_s = 0.0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start threads, and the process that makes clips."""
        with ExitStack() as stack:
            if self.snapshots is not None:
                stack.enter_context(self.snapshots)
            if self._wanted is not None:
                self._chores.ask(partial(remove_unfinished, self._wanted.folder))
                if self._wanted.clips:
                    clips = Clips(clip_settings(self._wanted), self._tell, self._link)
                    self._clips = stack.enter_context(clips)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what was started; messages that are held are told."""
        self._stack.__exit__(kind, error, trace)

    def add(self, camera: str, ring: str, fps: float) -> None:
        """Keep the newest pictures of a camera, out of its ring."""
        if self._clips is not None:
            self._clips.add(camera, ring, fps)

    def remove(self, camera: str) -> None:
        """The camera goes, once its last messages were passed on."""
        if self._clips is not None:
            self._clips.remove(camera)

    def follow(self, camera: str) -> Callable[[float | None], None] | None:
        """Whom to tell since when something unusual goes on; None where nobody asks."""
        return None if self._clips is None else partial(self._clips.follow, camera)

    def pass_on(self, draft: EventDraft) -> EventDraft | None:
        """The message as it is to be told now; None where it waits for its clip."""
        if draft.kind == "anomaly":
            (self._open.discard if draft.type == "end" else self._open.add)(draft.id)
        return draft if self._clips is None else self._clips.pass_on(draft)

    def tidy(self, now_s: float) -> None:
        """Now and then, remove what is too old or too much; `now_s` on the monotonic clock."""
        if now_s < self._keep_at_s:
            return
        if self._wanted is not None:
            self._keep_at_s = now_s + _KEEP_EVERY_S
            if not self._keeping:
                self._keeping = self._chores.ask(partial(self._keep, frozenset(self._open)))
        elif self.snapshots is not None:
            self._keep_at_s = now_s + _FORGET_EVERY_S
            before_s = time.time() - self._config.max_age_days * 86_400
            self._chores.ask(partial(self.snapshots.forget, before_s))

    def status(self) -> EvidenceStatus | None:
        """How it stands, for any thread; None where nothing is wanted."""
        snapshots, clips = self.snapshots, self._clips
        if snapshots is None:
            return None
        made = None if clips is None else clips.status
        problems = [snapshots.problem, "" if made is None else made.problem]
        return EvidenceStatus(
            pictures_failed=snapshots.failed,
            files=self._kept.files,
            bytes=self._kept.bytes,
            problem="; ".join(filter(None, problems)),
            **({} if made is None else made.facts()),
        )

    def _keep(self, open_events: frozenset[str]) -> None:
        assert self._wanted is not None  # noqa: S101 - or there is no such chore
        try:
            if self._clips is not None:
                open_events |= self._clips.open_events()
            bounds = evidence_bounds(self._wanted)
            self._kept = keep(self._wanted.folder, bounds, time.time(), open_events)
        finally:
            self._keeping = False
