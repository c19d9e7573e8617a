"""Starting a child process that signals cannot reach before it has said what it makes of them."""

import signal
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start_blocked(process: BaseProcess, ours: Connection, theirs: Connection) -> None:
    """Start `process`, which has the end `theirs` of a pipe; that is closed here.

    Signals are blocked in it, inherited so, until it unblocks them: Ctrl-C must not reach it before
    it ignores it. Where it cannot be started, `ours` is closed as well and the error raised.
    """
    resource_tracker.ensure_running()  # unblocks them, were `start` to do it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
