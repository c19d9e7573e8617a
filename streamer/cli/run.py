"""`sorawatch run`: watch the cameras of a configuration until told to stop."""

import logging
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
    with _Signals(config) as signals, Pipeline(loaded) as pipeline:
        signals.attach(pipeline)
        pipeline.wait()


class _Signals:
    """While entered, signals stop and reload the pipeline that is attached.

    Entered before the pipeline starts, so that a signal cannot end it half-built. Signals arrive
    through a socket, on a thread of their own: Python's handlers wait for the main thread, which
    may be inside a call that does not return.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self._pipeline: Pipeline | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._obey, name="signals")
        self._reloads = ThreadPoolExecutor(1, "reload")

    def __enter__(self) -> Self:
        self._arrived, self._sent = socket.socketpair()
        self._sent.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._sent.fileno(), warn_on_full_buffer=False)
        numbers = (*_END, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
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

    def attach(self, pipeline: Pipeline) -> None:
        """From now on signals are for `pipeline`; systemd is told that it runs."""
        self._pipeline = pipeline
        if self._ending:  # it came while the pipeline was being built
            pipeline.stop()
        _notify("READY=1")

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """On the main thread: gives up building what cannot be stopped yet."""
        if number in _END and self._pipeline is None:
            raise SystemExit(128 + number)

    def _obey(self) -> None:
        while numbers := self._arrived.recv(64):
            for number in numbers:
                if number in _END:
                    self._end(number)
                elif number == signal.SIGHUP and self._pipeline is not None:
                    # On another thread: an end that is asked for meanwhile must not wait for it.
                    self._reloads.submit(_reload, self._pipeline, self._config)

    def _end(self, number: int) -> None:
        if self._ending:
            os._exit(128 + number)
        self._ending = True
        if self._pipeline is not None:
            log.info("%s: stopping", signal.Signals(number).name)
            _notify("STOPPING=1")
            self._pipeline.stop()


def _reload(pipeline: Pipeline, config: Path) -> None:
    _notify("RELOADING=1")
    try:
        pipeline.reload(load_config(config))
    except SorawatchError as exc:
        for line in str(exc).splitlines():
            log.error("not reloaded, the old configuration stays: %s", line)
    except Exception:
        log.exception("not reloaded, the old configuration stays")
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
