"""The states a camera can be in, and the change from one to the next."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

Reason = Literal["auth", "not_found", "refused", "timeout", "codec", "ended", "error"]
"""Why a source cannot be opened or read: what `sorawatch.SourceError.reason` says."""

REASONS: frozenset[str] = frozenset(get_args(Reason))


class CameraState(StrEnum):
    """What a camera is doing now.

    connecting: being opened for the first time; nothing is known yet.
    online: pictures come.
    stalled: connected, but no picture for longer than `stall_after_s`.
    offline: not connected; the reason says why. It is tried again for ever, unless the reason is
    `ended` and the capture was told to read its source once.
    """

    CONNECTING = "connecting"
    ONLINE = "online"
    STALLED = "stalled"
    OFFLINE = "offline"

    @property
    def code(self) -> int:
        """Number of this state in the ring's counters."""
        return _CODES[self]


_CODES = {state: number for number, state in enumerate(CameraState)}


@dataclass(frozen=True, slots=True)
class StateChange:
    """One camera went from one state to another.

    `reason`: None while connecting and online, else one of `Reason`.
    `detail`: one line for people, credentials masked; may be empty.
    `t_mono_ns`: when, monotonic clock. `utc_s`: the same moment, seconds since the epoch.
    """

    camera: str
    state: CameraState
    reason: str | None
    detail: str
    t_mono_ns: int
    utc_s: float
