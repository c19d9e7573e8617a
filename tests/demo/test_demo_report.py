"""What the demo says was found: only what an alert really told, at the right time and place."""

import pytest

from streamer.demo.render import Truth
from streamer.demo.report import Camera, Message, clock, judge, table
from streamer.demo.scene import Planted

RUNNER = Planted("runner", 150, 210, dict.fromkeys(range(150, 210), (0.4, 0.5, 0.1, 0.2)))
FALL = Planted("fall", 450, 600, dict.fromkeys(range(450, 600), (0.7, 0.6, 0.1, 0.1)))
TRUTH = Truth(900, 15.0, (RUNNER, FALL))
PLAY = 1_000_000.0


def message(at_s, *, event_id="a", region=(0.38, 0.45, 0.15, 0.3), camera="gate", late_s=0.4):
    """An alert that tells of second `at_s` of the footage and is received a little later."""
    utc_s = PLAY + at_s
    return Message(camera, event_id, utc_s, utc_s - 0.6, utc_s + late_s, region, 7.5, "too fast")


def test_found_events_have_their_delay_and_make_the_demo_succeed():
    """Exit status 0 takes an alert for everything that was planted; delay is to its receipt."""
    camera = Camera("gate", TRUTH, [PLAY])
    there = (0.66, 0.55, 0.2, 0.2)
    report = judge([camera], [message(11.2), message(31, event_id="b", region=there)])
    assert [line.found for line in report.lines] == [True, True]
    assert report.lines[0].delay_s == pytest.approx(11.2 + 0.4 - 10)
    assert report.false == ()
    assert report.exit_status == 0
    assert report.watched_s == 60


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (message(5.0), "before it"),
        (message(17.0), "after it"),
        (message(11.2, region=(0.0, 0.0, 0.1, 0.1)), "elsewhere"),
    ],
)
def test_an_alert_at_another_time_or_place_is_false(wrong, why):
    """An alert that is not about the event does not find it, and is counted as false."""
    camera = Camera("gate", Truth(900, 15.0, (RUNNER,)), [PLAY])
    report = judge([camera], [wrong])
    assert not report.lines[0].found, why
    assert report.false == (wrong,)
    assert report.exit_status == 1


def test_a_false_alert_is_counted_once_however_often_it_is_updated():
    """`new`, `update` and `end` of one event are one alert; one true message makes it true."""
    camera = Camera("gate", TRUTH, [PLAY])
    elsewhere = (0.0, 0.0, 0.1, 0.1)
    noise = [message(20 + i, event_id="n", region=elsewhere) for i in range(3)]
    real = [message(11, region=elsewhere), message(11.5)]
    report = judge([camera], [*real, *noise])
    assert [one.event_id for one in report.false] == ["n"]
    assert report.lines[0].delay_s == pytest.approx(1.9)


def test_time_is_counted_from_the_latest_connection():
    """A camera that reconnected shows its film from the beginning."""
    camera = Camera("gate", Truth(900, 15.0, (RUNNER,)), [PLAY - 30, PLAY])
    assert judge([camera], [message(11.0)]).lines[0].delay_s == pytest.approx(1.4)
    assert camera.footage_s(PLAY - 5) == 25
    assert camera.footage_s(PLAY - 40) is None


def test_truth_without_boxes_is_matched_by_time():
    """Data sets that say only when, not where, are held against time alone."""
    camera = Camera("gate", Truth(900, 15.0, (Planted("event", 150, 210, {}),)), [PLAY])
    assert judge([camera], [message(11.0)]).exit_status == 0
    assert judge([camera], [message(20.0)]).exit_status == 1


def test_nothing_planted_or_nothing_seen_is_no_success():
    """No event, no connection: the demo has shown nothing, and says so by its status."""
    assert judge([Camera("gate", Truth(900, 15.0, ()), [PLAY])], []).exit_status == 1
    unseen = judge([Camera("gate", TRUTH, [])], [message(11.0)])
    assert unseen.exit_status == 1
    assert unseen.watched_s == 0


def test_table_tells_what_was_planted_found_missed_and_false():
    """The closing table has a line for everything planted and every false alert, and the sums."""
    camera = Camera("gate", TRUTH, [PLAY])
    text = table(judge([camera], [message(11.2), message(20, event_id="n")]), [camera])
    lines = text.splitlines()
    assert lines[0].split() == ["camera", "planted", "at", "found", "delay", "score", "reason"]
    assert lines[2].split() == ["gate", "runner", "0:10.0", "yes", "1.6", "s", "7.5", "too", "fast"]
    assert lines[3].split() == ["gate", "fall", "0:30.0", "NO"]
    assert lines[4].split()[:4] == ["gate", "-", "0:19.4", "false"]
    assert lines[-1] == (
        "found 1 of 2 planted events, median delay 1.6 s; 1 false alert in 1.0 camera-minutes"
    )


def test_clock_carries():
    """Footage time never shows 60 seconds."""
    assert [clock(s) for s in (0, 9.96, 59.97, 65.2)] == ["0:00.0", "0:10.0", "1:00.0", "1:05.2"]
