"""`sorawatch run`: watch the cameras of a configuration until told to stop."""

import logging
import os
import resource
import signal
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Self

import click

from sorawatch import SorawatchError
from streamer.cli.common import CONFIG, command
from streamer.config_load import load_config
from streamer.logs import set_up_logging
from streamer.pipeline import Pipeline

log = logging.getLogger("streamer.run")

_FILES = 16_384  # for thousands of cameras
_END = (signal.SIGTERM, signal.SIGINT)


@command("run", example="sorawatch run cameras.yaml")
@click.argument("config", type=CONFIG)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]),
              help="Instead of the configuration's log.level.")  # fmt: skip
def run(config: Path, log_level: str | None) -> None:
    """Watch cameras and publish alerts.

    CONFIG names the cameras (see configs/example.yaml). Runs until SIGTERM or Ctrl-C.
    A second SIGTERM or Ctrl-C ends it at once. SIGHUP reads CONFIG again and restarts only the
    cameras that changed.
    """
    loaded = load_config(config)
    debug = logging.getLogger().level == logging.DEBUG
    set_up_logging(loaded.log.format, log_level or ("debug" if debug else loaded.log.level))
    _allow_many_files()
    pipeline = Pipeline(loaded)
    with _Signals(config, pipeline) as signals, pipeline:
        signals.ready()
        pipeline.wait()


def _allow_many_files() -> None:
    """As many as the system lets us ask for: a camera takes two here, and more in its worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Signals:
    """While entered, signals stop and reload a pipeline.

    Entered before the pipeline is, so that a signal cannot end it half-built: one that comes while
    it starts ends it as soon as it has started. Signals arrive through a socket, on a thread of
    their own: Python's handlers wait for the main thread, which may be inside a call that does not
    return.
    """

    def __init__(self, config: Path, pipeline: Pipeline) -> None:
        self._config = config
        self._pipeline = pipeline
        self._ready = False
        self._ending = False
        self._thread = threading.Thread(target=self._obey, name="signals")
        self._reloads = ThreadPoolExecutor(1, "reload")
        self._reload: Future[None] | None = None

    def __enter__(self) -> Self:
        self._arrived, self._sent = socket.socketpair()
        self._sent.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._sent.fileno(), warn_on_full_buffer=False)
        numbers = (*_END, signal.SIGHUP)
        self._before = {number: signal.signal(number, _leave_to_thread) for number in numbers}
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._sent.close()  # ends the thread
        self._thread.join()
        self._arrived.close()
        self._reloads.shutdown(cancel_futures=True)

    def ready(self) -> None:
        """The pipeline runs: it may be reloaded from now on, and systemd is told."""
        self._ready = True
        if not self._ending:
            _notify("READY=1")

    def _obey(self) -> None:
        while numbers := self._arrived.recv(64):
            for number in numbers:
                if number in _END:
                    self._end(number)
            if signal.SIGHUP in numbers and self._ready:
                self._ask_to_reload()

    def _ask_to_reload(self) -> None:
        """On another thread: an end that is asked for meanwhile must not wait for it."""
        waits = self._reload is not None and not (self._reload.running() or self._reload.done())
        if not waits:  # one that has not begun yet will read what there is now
            self._reload = self._reloads.submit(_reload, self._pipeline, self._config)

    def _end(self, number: int) -> None:
        if self._ending:
            os._exit(128 + number)
        self._ending = True
        log.info("%s: stopping", signal.Signals(number).name)
        _notify("STOPPING=1")
        self._pipeline.stop()


def _leave_to_thread(_number: int, _frame: FrameType | None) -> None:
    """What Python does with a signal besides waking the thread: nothing."""


def _reload(pipeline: Pipeline, config: Path) -> None:
    _notify("RELOADING=1")
    try:
        pipeline.reload(load_config(config))
    except SorawatchError as exc:
        for line in str(exc).splitlines():
            log.error("not reloaded, the old configuration stays: %s", line)
    except Exception:
        log.exception("the reload failed")
    else:
        log.info("reloaded %s", config)
    _notify("READY=1")


def _notify(state: str) -> None:
    """Tell systemd, if it started us and wants to know (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError as exc:
            log.warning("cannot tell systemd %s: %s", state, exc)
