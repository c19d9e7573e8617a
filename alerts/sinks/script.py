"""A command for each event: what the program does not know how to tell, a script does."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from alerts.sinks.halt import Deadline, Halt, wait_for
from alerts.sinks.sink import Item, NotNow, OneByOne, Refused

NOT_FOR_ME: Final = 65
"""Exit status (EX_DATAERR) that says: never offer me this event again."""

_GRACE_S: Final = 0.5
_TAIL: Final = 2000
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME")


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """What to run. `command`: program and arguments, as they are: no shell, nothing filled in.

    `env`: further environment variables; here is where secrets belong, since arguments can be
    seen by every user of the machine. `limit_s`: it is ended when it takes longer.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    limit_s: float = 30.0


class Script(OneByOne):
    """Runs a command with the event's JSON on its standard input, one at a time.

    Of the program's own environment it gets little: the passwords of cameras stand in there.
    """

    def __init__(self, name: str, settings: ScriptSettings, halt: Halt) -> None:
        """Nothing is run yet."""
        self._name = name
        self._settings = settings
        self._halt = halt
        self._program = settings.command[0]
        inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        self._env = {**inherited, **settings.env}

    def send(self, item: Item) -> None:
        """As `OneByOne`: exit status 0 is done, 65 never, all else later."""
        event = item.event
        env = {
            "SORAWATCH_SINK": self._name,
            "SORAWATCH_ID": event.id,
            "SORAWATCH_SEQ": str(event.seq),
            "SORAWATCH_TYPE": event.type,
            "SORAWATCH_CAMERA": event.camera,
            "SORAWATCH_KIND": event.kind,
            "SORAWATCH_SEVERITY": event.severity,
        }
        # A file in memory and not a pipe: it need not be read, and nobody waits for who does.
        stdin = os.memfd_create("event")
        try:
            os.write(stdin, item.body)
            os.lseek(stdin, 0, os.SEEK_SET)
            try:
                process = subprocess.Popen(  # noqa: S603 - what the operator wrote, no shell
                    self._settings.command,
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**self._env, **env},
                    start_new_session=True,
                )
            except (OSError, ValueError) as exc:
                reason = getattr(exc, "strerror", None) or exc
                raise NotNow(f"{self._program} cannot be run: {reason}") from exc
        finally:
            os.close(stdin)
        self._judge(*self._finish(process))

    def _finish(self, process: "subprocess.Popen[bytes]") -> tuple[int | None, bytes]:
        """Exit status, None where it was ended by us, and the end of what it complained."""
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        pidfd = os.pidfd_open(process.pid)
        try:
            with process.stderr as stderr:
                os.set_blocking(stderr.fileno(), False)
                said, over = self._watch(pidfd, stderr.fileno(), Deadline(self._settings.limit_s))
                if over:
                    said = (said + _read(stderr.fileno()))[-_TAIL:]
            if not over:
                self._end(process, pidfd)
            return (process.wait() if over else None), said
        finally:
            os.close(pidfd)
            process.wait()

    def _watch(self, pidfd: int, stderr: int, deadline: Deadline) -> tuple[bytes, bool]:
        """Read what it complains until it has ended, or must; whether it has."""
        poller = select.poll()
        for fd in (pidfd, stderr, self._halt.fileno()):
            poller.register(fd, select.POLLIN)
        said = b""
        while deadline.left_s > 0:
            ready = [fd for fd, _ in poller.poll(max(round(deadline.left_s * 1000), 1))]
            if self._halt.fileno() in ready:
                return said, False
            if stderr in ready:
                more = _read(stderr)
                said = (said + more)[-_TAIL:]
                if not more:
                    poller.unregister(stderr)
            if pidfd in ready:
                return said, True
        return said, False

    def _end(self, process: "subprocess.Popen[bytes]", pidfd: int) -> None:
        """Ask it and all that it started to end; then see to it."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            if not self._halt.is_set():
                wait_for(pidfd, select.POLLIN, self._halt, Deadline(_GRACE_S))
            os.killpg(process.pid, signal.SIGKILL)

    def _judge(self, status: int | None, said: bytes) -> None:
        if status == 0:
            return
        if status is None and self._halt.is_set():
            raise NotNow(f"{self._program} was interrupted")
        if status is None:
            raise NotNow(f"{self._program} took longer than {self._settings.limit_s:g} s")
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        line = self._last_line(said)
        text = f"{self._program} {how}" + (f": {line}" if line else "")
        if status == NOT_FOR_ME:
            raise Refused(text)
        raise NotNow(text)

    def _last_line(self, said: bytes) -> str:
        """The last line of its complaints, without the secrets that it was given."""
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        line = lines[-1] if lines else ""
        for secret in sorted(self._settings.env.values(), key=len, reverse=True):
            if secret:
                line = line.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in line)[:200]


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""
