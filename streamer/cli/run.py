"""`sorawatch run`: watch the cameras of a configuration until told to stop."""

import logging
import os
import signal
import socket
import threading
import time
from pathlib import Path
from queue import SimpleQueue
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
    """While entered, signals stop and reload the program that is attached.

    Entered before the program starts, so that a signal cannot end it half-built.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self._received: SimpleQueue[int | None] = SimpleQueue()
        self._pipeline: Pipeline | None = None
        self._ending = False
        self._thread = threading.Thread(target=self._obey, name="signals")

    def __enter__(self) -> Self:
        numbers = (*_END, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._pipeline is not None:
            self._received.put(None)
            self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def attach(self, pipeline: Pipeline) -> None:
        """From now on signals are for `pipeline`; systemd is told that it runs."""
        self._pipeline = pipeline
        self._thread.start()
        _notify("READY=1")

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # Runs between any two steps of the main thread, so it must not wait for a lock:
        # `SimpleQueue.put` is made for this. The thread does the rest.
        if number in _END:
            if self._ending:
                os._exit(128 + number)
            self._ending = True
            if self._pipeline is None:
                raise SystemExit(128 + number)
        self._received.put(number)

    def _obey(self) -> None:
        pipeline = self._pipeline
        assert pipeline is not None  # noqa: S101 - `attach` starts this thread
        while (number := self._received.get()) is not None:
            if number == signal.SIGHUP:
                _notify("RELOADING=1")
                _reload(pipeline, self._config)
                _notify("READY=1")
            else:
                log.info("%s: stopping", signal.Signals(number).name)
                _notify("STOPPING=1")
                pipeline.stop()


def _reload(pipeline: Pipeline, config: Path) -> None:
    try:
        pipeline.reload(load_config(config))
    except SorawatchError as exc:
        for line in str(exc).splitlines():
            log.error("not reloaded, the old configuration stays: %s", line)
    except Exception:
        log.exception("not reloaded, the old configuration stays")
    else:
        log.info("reloaded %s", config)


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
