"""Child processes that do not outlive the demo, however it is left; SIGKILL aside."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sorawatch import SorawatchError

_GRACE_S = 3.0


class ChildError(SorawatchError):
    """A child process of the demo failed; its status becomes the demo's."""

    def __init__(self, message: str, exit_status: int) -> None:
        """`exit_status`: what the demo ends with."""
        super().__init__(message)
        self.exit_status = exit_status  # type: ignore[misc]


class LineReader:
    """Whole lines from a child's standard output, without ever waiting for one."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        """`child`: started with `talks`."""
        assert child.stdout is not None  # noqa: S101 - `talks` makes it a pipe
        self._fd = child.stdout.fileno()
        os.set_blocking(self._fd, False)
        self._rest = b""

    def lines(self) -> list[str]:
        """The lines that have come since the last call."""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._fd, 65_536):
                self._rest += part
        *whole, self._rest = self._rest.split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


def sorawatch_command() -> list[str]:
    """How a child runs `sorawatch`: the command beside this interpreter, as a user would."""
    script = Path(sys.executable).with_name("sorawatch")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from streamer.cli import main; sys.exit(main())"]


class Children:
    """Starts child processes, and ends those that are left on the way out.

    Each gets its own process group, so that Ctrl-C reaches the demo alone, which then stops them
    in order. Standard error of each goes to a file, whose end explains a failure.
    """

    def __init__(self, logs: Path) -> None:
        """`logs`: folder for what the children write to standard error."""
        self._logs = logs
        self._running: list[subprocess.Popen[str]] = []
        self._names: dict[int, str] = {}

    def __enter__(self) -> Self:
        """Make the folder."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End what is left: asked first, then killed, whole groups."""
        for child in self._running:
            if child.stdin is not None:
                with contextlib.suppress(OSError):
                    child.stdin.close()
            _signal(child, signal.SIGTERM)
        deadline_s = time.monotonic() + _GRACE_S
        for child in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline_s - time.monotonic()))
            _signal(child, signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        self._running.clear()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        talks: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start `command`; with `talks` its standard input and output are pipes to us."""
        with self.log(name).open("w", encoding="utf-8") as log:
            child = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                list(command),
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                text=True,
                env=None if env is None else {**os.environ, **env},
                start_new_session=True,
            )
        self._names[child.pid] = name
        self._running.append(child)
        return child

    def log(self, name: str) -> Path:
        """Where a child's standard error goes."""
        return self._logs / f"{name}.log"

    def stop(self, child: "subprocess.Popen[str]", timeout_s: float) -> int:
        """SIGTERM, and the exit status; killed when it does not end within `timeout_s`."""
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            return child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _signal(child, signal.SIGKILL)
            return child.wait()

    def failed(self, child: "subprocess.Popen[str]") -> ChildError:
        """The error for a child that ended when it should not have: its last words."""
        name = self._names[child.pid]
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        words = lines[-1].removeprefix("error: ") if lines else "it said nothing"
        status = child.returncode
        return ChildError(
            f"{name} ended with status {status}: {words}", status if status > 0 else 5
        )


def _signal(child: "subprocess.Popen[str]", number: int) -> None:
    """To the child's whole group: it may have children of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
