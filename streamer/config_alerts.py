"""The configuration's `alerts` section: where alerts go, who may listen, what shows them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from alerts.address import check_address
from sorawatch import ConfigError
from streamer.config_fields import (
    AnchoredPath,
    Bytes,
    Count,
    Number,
    PositiveSeconds,
    Seconds,
    Size,
)
from streamer.config_fields import Section as _Section
from streamer.config_sinks import SinkConfig, SinkName


def _zmq_endpoint(text: str) -> str:
    if not re.fullmatch(r"tcp://[^/\s]+:[0-9]{1,5}|ipc://\S+", text):
        raise ValueError("expected an address such as tcp://127.0.0.1:5556 or ipc:///run/x.sock")
    if text.startswith("tcp:") and int(text.rpartition(":")[2]) > 65535:
        raise ValueError("a port is at most 65535")
    return text


Endpoint = Annotated[str, AfterValidator(_zmq_endpoint)]


class CurveConfig(_Section):
    """Keys for alerts that leave this machine: encrypted, and only for those on a list."""

    secret_key_file: AnchoredPath
    """Our key pair: a .key_secret file of `sorawatch keys`."""
    allowed_keys_file: AnchoredPath
    """A public key (40 characters, Z85) a line, of each subscriber that may listen."""


class EvidenceConfig(_Section):
    """Pictures and clips of events."""

    folder: AnchoredPath
    clips: bool = True
    pre_roll_s: Annotated[Seconds, Field(le=120)] = 5.0
    """A clip begins so long before its event."""
    post_roll_s: Annotated[Seconds, Field(le=120)] = 5.0
    longest_s: Annotated[PositiveSeconds, Field(le=600)] = 60.0
    """No clip is longer than that."""
    buffer: Annotated[Bytes, Field(ge=1_000_000)] = 16_000_000
    """Memory for a camera's newest pictures, as JPEG."""
    max_age_days: Number = Field(default=30.0, gt=0)
    max_size: Bytes | None = 20_000_000_000
    """Of all pictures and clips; the oldest events' go first."""
    keep_free: Bytes = 1_000_000_000
    """What has to stay free on the disk."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#@]+$")
    """What messages call the folder, where others serve it; None: they hold paths."""

    @model_validator(mode="after")
    def _longer(self) -> "EvidenceConfig":
        if self.longest_s <= self.pre_roll_s + self.post_roll_s:
            raise ValueError("longest_s: must be more than pre_roll_s and post_roll_s together")
        return self


class AlertsConfig(_Section):
    """Where alerts go."""

    publish: Endpoint = "tcp://127.0.0.1:5556"
    catch_up: Endpoint = "tcp://127.0.0.1:5557"
    outbox: AnchoredPath = Path("var/alerts.db")
    snapshots: AnchoredPath | None = None
    """Folder for a picture per alert; None: no pictures."""
    evidence: EvidenceConfig | None = None
    """Pictures and clips; in the place of `snapshots`."""
    max_events: Count = 100_000
    """The outbox forgets the oldest beyond this many."""
    max_size: Size = 500_000_000
    """Bytes of the outbox's file, at least 1 MB: beyond, it forgets the oldest as well."""
    max_age_days: Number = Field(default=30.0, gt=0)
    curve: CurveConfig | None = None
    """Needed as soon as others than this machine can connect; `sorawatch keys` makes the files."""
    anyone_on_the_network_may_listen: bool = False
    """Without curve: alerts go in clear to whoever reaches the addresses, which may be beyond
    this machine. Only for a network that is trusted as a whole."""
    sinks: dict[SinkName, SinkConfig] = Field(default_factory=dict, max_length=50)
    """Where alerts go beside ZeroMQ, by name."""

    @model_validator(mode="after")
    def _guarded(self) -> "AlertsConfig":
        for key in ("publish", "catch_up"):
            try:
                check_address(
                    getattr(self, key),
                    key,
                    guarded=self.curve is not None or self.anyone_on_the_network_may_listen,
                )
            except ConfigError as exc:
                raise ValueError(str(exc)) from exc
        return self

    @model_validator(mode="after")
    def _one_folder(self) -> "AlertsConfig":
        if self.snapshots is not None and self.evidence is not None:
            raise ValueError("snapshots: alerts.evidence has the pictures too: leave this out")
        return self

    @model_validator(mode="after")
    def _two_addresses(self) -> "AlertsConfig":
        if self.publish == self.catch_up and not self.publish.endswith(":0"):
            raise ValueError("publish and catch_up need an address each")
        return self
