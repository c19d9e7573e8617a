"""The running program: a day in the life of a few cameras, and how it ends."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
from evidence_rig import read_film
from films import FPS, GOOD_S, SIZE, write_gone_wrong, write_ordinary, write_runner
from footage import ROOT as FOOTAGE
from program import Event, Remains, running, write_config

from streamer.capture.source import Source
from streamer.fit import fit

QUICK = {"frozen_after_s": 2, "dark_after_s": 2, "tampered_after_s": 2}
CONDITIONS = ("frozen", "dark", "tampered")
CLIPS = ("busy-street.mp4", "car-detection.mp4")
PRE_S = 2.0
CUT_S = 10.5  # in the middle of the run
LATE_S = 3.0


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is normal at the place that all films show."""
    folder = tmp_path_factory.mktemp("normal")
    film = write_ordinary(folder / "ordinary.mp4", 40)
    fit([Source.parse(str(film))], folder / "plaza.normal")
    return folder / "plaza.normal"


@dataclass
class Day:
    """What was heard, and what the program said of itself while the cameras ran."""

    events: list[Event]
    began_s: dict[str, float]
    pages: dict[str, tuple[int, str]]
    status: dict[str, Any]
    stopped_s: float
    left: list[str]
    evidence: dict[str, Any]
    truth_s: tuple[float, float]
    available: bool | None

    def of(self, camera: str, **fields: Any) -> list[Event]:
        """Events of a camera that have these fields, until its film began once more."""
        own = [event for event in self.events if event["camera"] == camera]
        starts = [e["seq"] for e in own if (e.get("state"), e["type"]) == ("online", "new")]
        until = starts[1] if len(starts) > 1 else float("inf")
        return [
            event
            for event in own
            if event["seq"] < until
            and all(event.get(name) == value for name, value in fields.items())
        ]

    def end_of(self, new: Event) -> Event:
        """The last message about an event, which may come when the film has begun once more."""
        (end,) = (e for e in self.events if (e["id"], e["type"]) == (new["id"], "end"))
        return end


@pytest.fixture(scope="module")
def day(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Cameras that show their films once, all at the same time, with quick health checks."""
    folder = tmp_path_factory.mktemp("day")
    truth = write_runner(folder / "runner.mp4")
    write_runner(folder / "cut.mp4", CUT_S)
    films = {"runner": folder / "runner.mp4", "cut": folder / "cut.mp4"}
    films |= write_gone_wrong(folder)
    films["calm"] = normal.with_name("ordinary.mp4")
    for clip in CLIPS:
        if (FOOTAGE / "clips" / clip).exists():
            films[f"clip-{clip[:-4]}"] = FOOTAGE / "clips" / clip
    cameras = {
        name: {"source": str(film), "normal": str(normal), "alerts_per_day": 50}
        for name, film in films.items()
    }
    # It is about what is told of an event, not about how unusual it is.
    cameras["runner"]["alerts_per_day"] = 500
    cameras["cut"] |= {"alerts_per_day": 5000, "judge": {"leave_ratio": 0.2}}
    evidence = {"folder": "evidence", "pre_roll_s": PRE_S, "post_roll_s": 2, "keep_free": 0}
    alerts = {"snapshots": None, "evidence": evidence}
    config = write_config(folder, cameras, health=QUICK, alerts=alerts)
    wrong = ("frozen", "dark", "covered", "turned")
    with running(config) as (program, heard):
        heard.until(
            lambda: all(heard.find(camera=name, state="online") for name in films), 20, "online"
        )
        heard.until_event(20, camera="runner", kind="anomaly")
        pages = {page: program.get(page) for page in ("/livez", "/readyz", "/metrics", "/status")}
        status = program.status()
        heard.until(
            lambda: all(heard.find(camera=name, state="offline") for name in ("cut", *wrong)), 40
        )
        evidence = json.loads(program.get("/status")[1])["evidence"]
        remains = Remains(program)
        stopped_s = program.stop()
        left = remains.after(LATE_S)
        heard.until(lambda: heard.available is False, 5, "its last word")
    began_s = {}
    for name in films:
        began_s[name] = heard.find(camera=name, state="online")[0]["start_time"]
    event = truth.events[0]
    return Day(
        heard.events,
        began_s,
        pages,
        status,
        stopped_s,
        left,
        evidence,
        (event.start_frame / FPS, event.end_frame / FPS),
        heard.available,
    )


def test_a_runner_is_told_with_a_picture(day: Day) -> None:
    """The one who runs makes one alert, in time, at the right place, explained, with a picture."""
    alerts = day.of("runner", kind="anomaly", type="new")
    assert len(alerts) == 1
    alert = alerts[0]
    first_s, last_s = day.truth_s
    assert first_s - 0.5 <= alert["start_time"] - day.began_s["runner"] < last_s
    assert alert["score"] >= alert["threshold"] > 0
    assert alert["explanation"]["text"]
    assert all(len(alert[name]) == 64 for name in ("model", "normal", "config"))
    picture = cv2.imread(alert["snapshot"])
    assert picture is not None
    assert (picture.shape[1], picture.shape[0]) == SIZE
    # The picture is of the moment that was most unusual so far, which the last update told.
    told = [event for event in day.events if event["id"] == alert["id"]]
    region = told[-2]["region"]
    left, top = round(region["x"] * SIZE[0]), round(region["y"] * SIZE[1])
    frame = picture[top - 2 : top + 3, left + 3 : left + 6].astype(int)
    assert (frame[..., 2] - frame[..., :2].max(axis=-1)).max() > 80, "the place is not drawn in"
    assert [event["type"] for event in told].count("end") == 1
    assert told[-1]["type"] == "end"  # held until its clip is there
    assert told[-1]["snapshot"] == alert["snapshot"]


def test_an_event_ends_with_its_camera(day: Day) -> None:
    """What is unusual when the camera goes ends then, and says that the camera was lost."""
    new = day.of("cut", kind="anomaly", type="new")[-1]
    end = day.end_of(new)
    assert (end["type"], end["ended_by"]) == ("end", "camera_lost")
    assert end["snapshot"] == new["snapshot"] is not None
    assert end["end_time"] - day.began_s["cut"] == pytest.approx(CUT_S, abs=1.5)


def test_an_event_has_a_clip_with_seconds_before(day: Day) -> None:
    """The last message of an alert names a film, there and whole, that begins before it did, also
    where the camera was lost meanwhile; nothing half-written lies beside it."""
    for camera in ("runner", "cut"):
        end = day.end_of(day.of(camera, kind="anomaly", type="new")[-1])
        assert end["clip"] is not None, day.evidence
        clip = Path(end["clip"])
        assert clip.with_suffix(".jpg") == Path(end["snapshot"])
        film = read_film(clip)
        assert film.event == end["id"]
        assert film.start_utc_s <= end["start_time"] - PRE_S + 0.05
        length_s = end["end_time"] - end["start_time"]
        assert film.times_s[-1] >= PRE_S + length_s - 0.5
        assert (film.pictures[0].shape[1], film.pictures[0].shape[0]) == SIZE
        assert all(path.suffix in (".jpg", ".mp4") for path in clip.parent.iterdir())
    assert day.evidence["problem"] == ""
    assert 0 < max(day.evidence["buffer_bytes"].values()) < 16_000_000
    assert "sorawatch_clips_written_total" in day.pages["/metrics"][1]


@pytest.mark.parametrize(
    ("camera", "state"),
    [("frozen", "frozen"), ("dark", "dark"), ("covered", "tampered"), ("turned", "tampered")],
)
def test_a_camera_that_goes_wrong_is_told(day: Day, camera: str, state: str) -> None:
    """A frozen, black, covered or turned view is told as what it is, and ends with the camera."""
    found = [e for e in day.of(camera, kind="health") if e["state"] in CONDITIONS]
    assert [(e["state"], e["type"]) for e in found] == [(state, "new"), (state, "end")]
    began_s = found[0]["start_time"] - day.began_s[camera]
    assert GOOD_S - 1 <= began_s <= GOOD_S + 7
    assert found[1]["ended_by"] == "camera_lost"


def test_ordinary_footage_is_healthy(day: Day) -> None:
    """Cameras that show what cameras show are neither frozen nor dark nor tampered with."""
    calm = [name for name in day.began_s if name.startswith(("calm", "clip", "runner"))]
    found = [e for name in calm for e in day.of(name) if e.get("state") in CONDITIONS]
    assert not found


def test_its_pages_say_what_it_does(day: Day) -> None:
    """Liveness, readiness, metrics and status are there while cameras run."""
    assert day.pages["/livez"] == (200, "ok\n")
    assert day.pages["/readyz"] == (200, "ok\n")
    metrics = day.pages["/metrics"][1]
    assert 'sorawatch_camera_state{camera="runner",state="online"} 1.0' in metrics
    assert "sorawatch_provider_info{provider=" in metrics
    latency = re.search(r"sorawatch_alert_latency_seconds_count (\S+)", metrics)
    assert latency is not None
    assert float(latency[1]) >= 1
    runner = day.status["runner"]
    assert runner["state"] == "online"
    assert runner["frames_per_s"] == pytest.approx(FPS, rel=0.2)
    assert runner["frames_analysed"] == pytest.approx(runner["frames"] / 2, rel=0.2)
    assert (runner["width"], runner["height"]) == SIZE
    assert runner["alerts"] == 1
    assert runner["score"] >= 0
    assert sum(runner["dropped"].values()) == 0


def test_it_stops_within_two_seconds_and_leaves_nothing(day: Day) -> None:
    """SIGTERM ends it in time, says so to subscribers, and leaves no process or shared memory."""
    assert day.stopped_s <= 2.0
    assert not day.left
    assert day.available is False
    open_still = {e["id"] for e in day.events} - {e["id"] for e in day.events if e["type"] == "end"}
    assert not open_still, "an event was left open"
