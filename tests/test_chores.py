"""Chores: done in the background, bounded, never in the way of the end."""

import threading
import time

import pytest

from streamer.chores import LEAVE_S, Chores

PATIENCE_S = 5.0


def test_chores_are_done_and_a_failure_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One that fails is logged, and the next is done all the same."""
    done = threading.Event()

    def fail() -> None:
        raise OSError("the disk is gone")

    with Chores() as chores:
        assert chores.ask(fail)
        assert chores.ask(done.set)
        assert done.wait(PATIENCE_S)
    assert "the disk is gone" in caplog.text


def test_a_chore_that_hangs_holds_up_nothing() -> None:
    """While a disk hangs, few chores wait, more are left out, and the end comes all the same."""
    begun, disk = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        disk.wait()

    with Chores() as chores:
        chores.ask(hang)
        assert begun.wait(PATIENCE_S)
        taken = [chores.ask(lambda: None) for _ in range(100)]
        assert any(taken)
        assert not all(taken)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < LEAVE_S + PATIENCE_S
    disk.set()
