"""What is replayed as one, and in which order."""

from pathlib import Path

from streamer.capture.source import Source, SourceKind
from streamer.replay.plan import Dated, Range, plan


def dated(*times: tuple[float, float]) -> list[Dated]:
    """Files that are not there, from and to these seconds."""
    return [
        Dated(Source(SourceKind.FILE, f"/nowhere/{n}.mp4"), start_s, end_s)
        for n, (start_s, end_s) in enumerate(times)
    ]


def test_what_touches_is_one_run_and_a_gap_begins_another() -> None:
    """Segments that follow on each other are read as one, in order of time; a gap ends that."""
    pieces = dated((120, 180), (0, 60), (60.1, 119.9), (200, 260))
    runs = plan(pieces, Range(), unbroken=True)
    assert [[Path(p.source.url).stem for p in run.footage.pieces] for run in runs] == [
        ["1", "2", "0"], ["3"],
    ]  # fmt: skip
    assert [(run.start_utc_s, run.end_utc_s) for run in runs] == [(0, 180), (200, 260)]
    assert len(plan(pieces, Range())) == 4


def test_footage_that_overlaps_is_told_and_kept_apart() -> None:
    """Two sources that claim the same time are two runs, and the second says by how much."""
    runs = plan(dated((0, 60), (50, 110)), Range(), unbroken=True)
    assert [run.problem for run in runs] == [None, "begins 10.0 s before the one before it ends"]


def test_runs_outside_the_time_asked_for_are_left_out() -> None:
    """A range in UTC picks the runs that reach into it, and cuts them."""
    runs = plan(dated((0, 60), (100, 160), (200, 260)), Range(110, 210, utc=True))
    assert [(run.start_utc_s, run.end_utc_s) for run in runs] == [(110, 160), (200, 210)]


def test_what_is_read_has_an_identity_of_its_own(tmp_path: Path) -> None:
    """A file that was changed, or is asked for in another part, is not taken for the same."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    one = [Dated(Source(SourceKind.FILE, str(path)), 0, 60)]
    before = plan(one, Range())[0].identity
    assert plan(one, Range())[0].identity == before
    assert plan(one, Range(1, 2))[0].identity != before
    path.write_bytes(b"22")
    assert plan(one, Range())[0].identity != before
