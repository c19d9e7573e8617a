"""The doorbell between a worker and the main process."""

import multiprocessing
import os
import pickle
import threading

import pytest

from streamer.capture.doorbell import Doorbell, wait

PATIENCE_S = 10.0


def _ring(bell: Doorbell, times: int) -> None:
    for _ in range(times):
        bell.ring()


def test_bell_rung_in_a_child_wakes_the_main_process() -> None:
    """A worker's ring ends the wait, and it is the worker's bell that is reported."""
    with Doorbell() as rung, Doorbell() as silent:
        child = multiprocessing.get_context("spawn").Process(target=_ring, args=(rung, 1))
        child.start()
        assert wait([silent, rung], PATIENCE_S) == [rung]
        child.join()
        assert child.exitcode == 0
        assert wait([silent, rung], 0) == []


def test_many_rings_are_one_and_never_block() -> None:
    """A worker whose main process is busy goes on capturing, however often it rings."""
    with Doorbell() as bell:
        _ring(bell, 70_000)  # more than a pipe holds
        assert wait([bell], 0) == [bell]
        assert wait([bell], 0) == []
        bell.ring()
        assert bell.drain()
        assert not bell.drain()


def test_ring_during_the_look_is_not_lost() -> None:
    """A bell is silent again when `wait` returns, so a ring while the caller looks counts."""
    with Doorbell() as bell:
        bell.ring()
        assert wait([bell], 0) == [bell]
        bell.ring()
        assert wait([bell], 0) == [bell]


def test_ringing_after_the_main_process_has_gone_is_harmless() -> None:
    """A worker that outlives the main process does not die of its doorbell."""
    with Doorbell() as bell:
        os.close(bell._read_fd)
        bell._read_fd = -1
        bell.ring()


def test_bell_ends_a_wait_without_limit_from_another_thread() -> None:
    """A bell of the main process's own wakes it, to stop for one thing."""
    with Doorbell() as bell:
        thread = threading.Thread(target=bell.ring)
        thread.start()
        assert wait([bell], None) == [bell]
        thread.join()


def test_bell_travels_only_into_a_child_that_is_being_started() -> None:
    """A bell is not pickled anywhere else, where its file descriptor would mean nothing."""
    with Doorbell() as bell, pytest.raises(RuntimeError, match="inheritance"):
        pickle.dumps(bell)
