"""Feedback end to end: an alert, marked normal, is not raised again; taken back, it is."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from films import FPS, LAYOUT, SEED, SIZE, write_ordinary
from program import running, write_config

from streamer.capture.source import Source
from streamer.cli import main
from streamer.deciding.labels import read_lines
from streamer.demo.render import encode_h264, render_scene
from streamer.demo.scene import EventPlan
from streamer.fit import fit

FILM_S = 6.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with its normality, and a short film in which somebody cycles, again and again."""
    folder = tmp_path_factory.mktemp("place")
    film = write_ordinary(folder / "ordinary.mp4", 24)
    fit([Source.parse(str(film))], folder / "plaza.normal", use_encoder=False)
    scene = render_scene(
        SEED, LAYOUT, FILM_S, fps=FPS, size=SIZE, crowd="still", events=[EventPlan("cyclist", 1.5)]
    )
    encode_h264(scene, folder / "cyclist.mp4", FPS)
    return folder


Ask = Callable[..., str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """A command that must be done; what it says."""

    def done(*words: object) -> str:
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out

    return done


def test_marked_normal_it_is_not_raised_again_until_that_is_taken_back(
    place: Path, tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    """The running program learns at once, forgets at once, and the file is as it was, to the byte.

    Its alerts are listed with what was said of them, while it runs and afterwards.
    """
    normal = tmp_path / "plaza.normal"
    normal.write_bytes(before := (place / "plaza.normal").read_bytes())
    source = str(place / "cyclist.mp4")
    cameras = {"plaza": {"source": source, "normal": str(normal), "alerts_per_day": 50}}
    outbox = tmp_path / "alerts.db"
    config = write_config(
        tmp_path, cameras, detect={"encoder": "off"}, alerts={"outbox": str(outbox)}
    )
    socket = tmp_path / "alerts.db.control"
    with running(config) as (program, heard):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        alert = heard.until_event(30, kind="anomaly", type="new")
        heard.until_event(15, kind="anomaly", type="end", id=alert["id"])
        marked = ask("events", "mark", config, "last", "normal", "--note", "cycles", "--json")
        lesson = json.loads(marked)["marks"]["lesson"]
        taught = normal.read_bytes()
        assert taught != before
        assert normal.with_name("plaza.normal.bak").read_bytes() == before
        assert f"lesson {lesson}" in ask("normal", "show", normal)
        since = len(heard.events)
        # Once more all that was unusual, and a little.
        frames = program.status()["plaza"]["frames"] + 1.2 * FILM_S * FPS
        heard.until(lambda: program.status()["plaza"]["frames"] >= frames, 30, "the film")
        assert not heard.find(since, kind="anomaly", type="new")
        ask("events", "unmark", config, alert["id"][-6:])
        assert normal.read_bytes() == before
        again = heard.until_event(30, since, kind="anomaly", type="new")
        assert again["id"] != alert["id"]
        assert again["normal"] == alert["normal"]
        ask("events", "mark", config, again["id"], "real")
        ask("events", "ack", config, alert["id"], "--by", "me")
        running_list = json.loads(ask("events", "list", outbox, "--json"))["events"]
        program.stop()
    assert not socket.exists()
    listed = json.loads(ask("events", "list", config, "--json"))["events"]
    for one, other in zip(running_list, listed, strict=True):
        assert (one["id"], one["marks"]) == (other["id"], other["marks"])
    said = {one["id"]: (one["marks"]["mark"], one["marks"]["acknowledged_by"]) for one in listed}
    assert said == {again["id"]: ("real", None), alert["id"]: (None, "me")}
    shown = ask("events", "list", config, "--marked", "real")
    assert shown.startswith(again["id"][-6:])
    assert "[real]" in shown
    assert main(["events", "ack", str(config), "last"]) == 5
    assert "no program runs" in capsys.readouterr().err
    labels = tmp_path / "labels.jsonl"
    ask("events", "export", config, "--labels", labels)
    (label,) = read_lines(labels, labels.read_text())
    assert label.camera == "plaza"
    assert label.start_s == pytest.approx(again["start_time"], abs=0.001)
