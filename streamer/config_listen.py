"""The configuration's `metrics` and `control` sections: what the program itself answers on."""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, SecretStr, ValidationInfo, model_validator

from streamer.config_fields import Section as _Section
from streamer.config_fields import read_by

CONTROL_SUFFIX = ".control"
"""Of the control socket's file, after the outbox's name."""

MAX_IPC_BYTES = 100
"""Of an ipc:// address; the system takes 107 of a path."""


def _ipc(text: str) -> str:
    if text != "beside the outbox" and not re.fullmatch(r"ipc:///\S+", text):
        raise ValueError("expected ipc:///absolute/path, which this user alone can open, or null")
    if len(os.fsencode(text)) > MAX_IPC_BYTES:
        raise ValueError("the path of a socket has at most 94 characters")
    return text


class HostPort(NamedTuple):
    """A TCP address to listen on; port 0 takes any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(value: object, _info: ValidationInfo | None = None) -> HostPort:
    """`127.0.0.1:9109` or `[::1]:9109`; ValueError for anything else."""
    if isinstance(value, HostPort):
        return value
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):([0-9]{1,5})", str(value))
    if match is None or int(match[3]) > 65535:
        raise ValueError("expected host:port, such as 127.0.0.1:9109")
    return HostPort(match[1] or match[2], int(match[3]))


ListenField = Annotated[HostPort, read_by(parse_host_port)]


class MetricsConfig(_Section):
    """The HTTP server for metrics, liveness and status."""

    listen: ListenField | None = HostPort("127.0.0.1", 9109)
    token: SecretStr | None = None
    """Asked for as `Authorization: Bearer`; required when others than this machine can connect."""

    @model_validator(mode="after")
    def _guarded(self) -> "MetricsConfig":
        if self.listen is not None and not self.listen.loopback and self.token is None:
            raise ValueError(
                f"listen: {self.listen} can be reached from other machines: set metrics.token, "
                "or listen on 127.0.0.1"
            )
        if self.token is not None and len(self.token.get_secret_value()) < 8:
            raise ValueError("token: a token needs at least 8 characters")
        return self


class ControlConfig(_Section):
    """The socket for `sorawatch events` and other programs of the same user."""

    listen: Annotated[str, AfterValidator(_ipc)] | None = "beside the outbox"
    """`ipc://PATH`, which this user alone can open; null: no socket."""

    def address(self, outbox: Path) -> str | None:
        """Where it is, for a program with this outbox."""
        if self.listen != "beside the outbox":
            return self.listen
        return f"ipc://{outbox.absolute().with_name(outbox.name + CONTROL_SUFFIX)}"

    def problem(self, outbox: Path) -> str | None:
        """Why there can be no socket there, where its place was not chosen by anybody."""
        address = self.address(outbox)
        if address is None or len(os.fsencode(address)) <= MAX_IPC_BYTES:
            return None
        return f"{address} is too long for a socket, so `sorawatch events` cannot change anything"
