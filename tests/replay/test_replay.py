"""`sorawatch replay`: the live path over recorded footage, whatever happens to it."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import jsonschema
import numpy as np
import pytest
import yaml
from disk import fill, small_disk
from films import FPS, LAYOUT, SEED, SIZE, write_ordinary, write_runner
from program import COMMAND, ROOT, Subscriber, sorawatch
from record_rig import RunningClock, record_file
from video import write_folder

from alerts.event import Event, event_schema
from detectors.normality import load
from sorawatch import ConfigError, ReplayError, ResourceError, SourceError
from streamer.capture.source import Source
from streamer.cli import main
from streamer.config_fields import parse_duration
from streamer.config_load import load_config
from streamer.deciding.redecide import redecide
from streamer.deciding.replayed import open_replay
from streamer.demo.render import encode_h264, render_scene
from streamer.fit import fit
from streamer.judging import CalibratedJudge, judge_settings, observation_of
from streamer.replay.gather import gather, parse_range
from streamer.replay.plan import Run
from streamer.replay.replay import ReplayProgress, ReplayReport
from streamer.replay.replay import replay as run
from streamer.trace.manifest import load_manifest, normal_path, trace_paths
from streamer.trace.read import Trace, read_trace
from streamer.trace.row import UNSCORED

START_UTC_S = 1_800_000_000.0
BLACK_S = 5.0


@dataclass(frozen=True)
class Place:
    """Films of one place, and the configuration of the camera that shows it."""

    films: dict[str, Path]
    config: Path

    def runs(self, *names: str, **how: Any) -> list[Run]:
        sources = [Source.parse(str(self.films[name])) for name in names]
        return gather(sources, "plaza", **{"start_utc_s": START_UTC_S, **how})

    def replay(self, out: Path, runs: list[Run], **how: Any) -> ReplayReport:
        return run(runs, load_config(self.config), "plaza", out, **how)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """People walk; somebody runs; the picture goes black while people walk."""
    folder = tmp_path_factory.mktemp("place")
    films = {name: folder / f"{name}.mp4" for name in ("ordinary", "runner", "black")}
    write_ordinary(films["ordinary"], 20)
    write_runner(films["runner"], 12, at_s=4.0)
    seen = list(render_scene(SEED, LAYOUT, 5, fps=FPS, size=SIZE, crowd=3.0, take=2))
    nothing = [np.zeros_like(seen[0])] * round(BLACK_S * FPS)
    encode_h264([*seen, *nothing, *seen[:20]], films["black"], FPS)
    fit([Source.parse(str(films["ordinary"]))], folder / "plaza.normal", device="cpu")
    config = folder / "cameras.yaml"
    tree = {
        "cameras": {"plaza": {"source": "0", "normal": "plaza.normal", "alerts_per_day": 200}},
        "detect": {"device": "cpu"},
        "health": {"dark_after_s": 2},
        "alerts": {
            "publish": f"ipc://{folder}/alerts.ipc", "catch_up": f"ipc://{folder}/catch-up.ipc",
        },
    }  # fmt: skip
    config.write_text(yaml.safe_dump(tree))
    return Place(films, config)


@pytest.fixture(scope="module")
def whole(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner and the black picture, replayed by one job."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = place.replay(out, place.runs("runner", "black"))
    assert (done.sources, done.incomplete, done.problems) == (2, 0, ())
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def events_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def traces(folder: Path) -> list[Trace]:
    return [read_trace(path) for path in trace_paths(folder, load_manifest(folder), "plaza")]


def test_how_it_was_made_makes_no_difference(place: Place, whole: Path, tmp_path: Path) -> None:
    """Jobs, batches and going on after a part give the same folder, to the last bit."""
    runs = place.runs("runner", "black")
    place.replay(tmp_path / "jobs", runs, jobs=2)
    place.replay(tmp_path / "batch", runs, batch=2)
    place.replay(tmp_path / "resumed", runs[:1])
    done = place.replay(tmp_path / "resumed", runs, resume=True)
    assert done.resumed == 1
    for name in ("jobs", "batch", "resumed"):
        assert contents(tmp_path / name) == contents(whole), name


def test_events_are_those_of_the_wire(whole: Path) -> None:
    """Messages fit the published schema, are numbered without a gap, and have their pictures."""
    events = events_of(whole)
    validator = jsonschema.Draft202012Validator(event_schema())
    for number, event in enumerate(events, 1):
        validator.validate(event)
        assert event["seq"] == number
    assert len({event["stream"] for event in events}) == 1
    alerts = [event for event in events if event["kind"] == "anomaly"]
    assert "faster than anything" in alerts[0]["explanation"]["text"]
    for event in alerts:
        assert event["snapshot"] == f"pictures/{event['id']}.jpg"
        assert cv2.imread(str(whole / event["snapshot"])).shape == (SIZE[1], SIZE[0], 3)


def test_conditions_of_the_picture_are_told_with_the_time_of_the_footage(whole: Path) -> None:
    """A black picture is a health event that begins and ends when the footage says so."""
    events = events_of(whole)
    dark = [event for event in events if event["state"] == "dark"]
    assert [event["type"] for event in dark] == ["new", "end"]
    second = load_manifest(whole).cameras["plaza"].sources[1]
    began_s = dark[0]["time"] - second.start_utc_s
    assert began_s == pytest.approx(5.0 + 2.0, abs=0.21)  # and 2 s until it is believed
    assert dark[1]["time"] - second.start_utc_s == pytest.approx(10.0, abs=0.21)
    trace = traces(whole)[1]
    black = trace.words("gate").are("invalid")
    assert black.sum() == pytest.approx(BLACK_S * 5, abs=1)
    assert np.isnan(trace.numbers("score")[black]).all()
    assert [e["ended_by"] for e in events if e["state"] == "online" and e["type"] == "end"] == [
        "stopped", "stopped",
    ]  # fmt: skip


def decided(whole: Path) -> list[dict[str, Any]]:
    """Alerts as the module text of `streamer.trace.schema` says how to decide."""
    camera = load_manifest(whole).cameras["plaza"]
    normality = load(normal_path(whole, "plaza"))
    found = []
    for trace, source in zip(traces(whole), camera.sources, strict=True):
        judge = CalibratedJudge(
            "plaza", normality.calibration, camera.alerts_per_day, judge_settings(camera.judge)
        )
        newest_s, dark = 0.0, False
        for row in trace.rows():
            if "dark" in row.conditions and not dark:
                end_s = min(max(row.utc_s, newest_s), newest_s + 1)
                found += judge.close(end_s, "camera_lost")
            dark = "dark" in row.conditions
            if row.gate not in UNSCORED:
                newest_s = row.utc_s
                seen = observation_of(row, normality.calibration)
                found += judge.step(seen, strange=row.strange)
        found += judge.close(source.end_utc_s, "stopped")
    return [draft.model_dump(mode="json") for draft in found]


def test_deciding_again_in_whole_arrays_gives_what_was_told(whole: Path) -> None:
    """What tune and compare decide from a trace are the very events that replay wrote."""
    replay = open_replay(whole)
    found = []
    for camera, source in replay.sources():
        found += redecide(
            source.footage(),
            camera.calibration,
            camera.today,
            camera=camera.name,
            facts=source.facts,
            provenance=camera.provenance,
        )
    told = [event for event in events_of(whole) if event["kind"] == "anomaly"]
    assert [draft.model_dump(mode="json", exclude={"snapshot"}) for draft in found] == [
        {k: v for k, v in event.items() if k not in ("schema", "stream", "seq", "snapshot")}
        for event in told
    ]


def test_a_trace_decides_as_replay_did(whole: Path) -> None:
    """From the stored rows alone come the very messages that replay has written."""
    told = [event for event in events_of(whole) if event["kind"] == "anomaly"]
    wanted = [
        {name: value for name, value in draft.items() if name not in ("model", "normal", "config")}
        for draft in decided(whole)
    ]
    assert told
    for event, draft in zip(told, wanted, strict=True):
        # The picture is no decision; the rest is equal to the last bit.
        assert {name: event[name] for name in draft} | {"snapshot": None} == draft


def cut(film: Path, folder: Path, at_s: float) -> list[Path]:
    """The film in two, at a key frame, as a recorder cuts it: nothing is encoded anew."""
    paths = [folder / "first.mp4", folder / "second.mp4"]
    with av.open(str(film)) as incoming:
        stream = incoming.streams.video[0]
        outs = [av.open(str(path), "w") for path in paths]
        copies = [out.add_stream_from_template(stream) for out in outs]
        for packet in incoming.demux(stream):
            if packet.dts is None:
                continue
            late = float(packet.pts * packet.time_base) >= at_s - 1e-6
            if late:
                shift = round(at_s / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copies[late]
            outs[late].mux(packet)
        for out in outs:
            out.close()
    return paths


def test_segments_that_touch_are_scored_as_one(place: Place, whole: Path, tmp_path: Path) -> None:
    """Where a recorder cut its files leaves no mark: same frames, same scores, same alerts."""
    pieces = [Source.parse(str(path)) for path in cut(place.films["runner"], tmp_path, 6.0)]
    runs = gather(pieces, "plaza", start_utc_s=START_UTC_S, unbroken=True)
    assert len(runs) == 1
    place.replay(tmp_path / "out", runs)
    joined, uncut = traces(tmp_path / "out")[0], traces(whole)[0]
    for name in ("frame", "generation"):
        np.testing.assert_array_equal(joined.numbers(name), uncut.numbers(name))
    np.testing.assert_allclose(joined.numbers("utc_s"), uncut.numbers("utc_s"), atol=2e-6, rtol=0)
    np.testing.assert_allclose(joined.numbers("score"), uncut.numbers("score"), atol=1e-4)
    told, wanted = ([e for e in events_of(out) if e["kind"] == "anomaly"]
                    for out in (tmp_path / "out", whole))  # fmt: skip
    before_s = load_manifest(whole).cameras["plaza"].sources[0].end_utc_s
    wanted = [event for event in wanted if event["start_time"] <= before_s]
    assert [event["type"] for event in told] == [event["type"] for event in wanted]


def test_a_recording_is_one_run_unless_apart_is_asked_for(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What `sorawatch record` cut is put together again by the command, too; what lacks is told."""
    film = tmp_path / "film.mp4"
    seen = render_scene(SEED, LAYOUT, 4, fps=FPS, size=SIZE, crowd=3.0)
    encode_h264(seen, film, FPS, key_every_s=0.5)
    record_file(
        tmp_path / "recording", film, RunningClock(START_UTC_S), segment_s=1.0, camera="plaza"
    )
    out = tmp_path / "out"
    arguments = ["replay", str(tmp_path / "recording"), "--camera", "plaza", "--out", str(out),
                 "--config", str(place.config), "--jobs", "1"]  # fmt: skip
    assert main(arguments) == 0
    assert len(load_manifest(out).cameras["plaza"].sources) == 1
    assert main([*arguments, "--apart"]) == 0
    assert len(load_manifest(out).cameras["plaza"].sources) == 4
    assert "truncated" not in caplog.text
    os.truncate(sorted((tmp_path / "recording").glob("plaza/*/*.mp4"))[1], 5000)
    gather([Source.parse(str(tmp_path / "recording"))], "plaza")
    assert "1 segments are truncated, empty or missing: sorawatch recordings" in caplog.text


@pytest.mark.parametrize(("first", "last"), [("2s", "4s"), ("9.8s", "1m")])
def test_a_part_of_a_source_is_what_the_whole_has_there(
    place: Place, whole: Path, tmp_path: Path, first: str, last: str
) -> None:
    """`--from` and `--to` leave out what lies outside; times and frame numbers stay."""
    part = parse_range(first, last)
    place.replay(tmp_path / "out", place.runs("runner", part=part))
    found, every = traces(tmp_path / "out")[0], traces(whole)[0]
    utc_s = every.numbers("utc_s") - START_UTC_S + 1e-5
    inside = (utc_s >= parse_duration(first)) & (utc_s < parse_duration(last))
    np.testing.assert_array_equal(found.numbers("utc_s"), every.numbers("utc_s")[inside])
    np.testing.assert_array_equal(found.numbers("frame"), every.numbers("frame")[inside])
    with pytest.raises(ConfigError, match="no source holds footage of the time asked for"):
        place.runs("runner", part=parse_range("2030-01-01", None))


@pytest.fixture
def spoilt(place: Place, tmp_path: Path) -> dict[str, Path]:
    """Files that are no footage, or no more."""
    data = place.films["runner"].read_bytes()
    paths = {name: tmp_path / f"{name}.mp4" for name in ("empty", "text", "headless")}
    paths["empty"].touch()
    paths["text"].write_text("no film")
    paths["headless"].write_bytes(data[: len(data) // 2])  # its index was at the end
    paths["torn"] = tmp_path / "torn.mkv"
    with av.open(str(place.films["runner"])) as film, av.open(str(paths["torn"]), "w") as copy:
        stream = copy.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    whole = paths["torn"].read_bytes()
    paths["torn"].write_bytes(whole[: len(whole) // 2])
    return paths


def test_bad_files_cost_only_themselves(
    place: Place, spoilt: dict[str, Path], tmp_path: Path
) -> None:
    """Each bad file is told with why; the good ones are done, and the status says that some lack.

    One that is torn in the middle gives what can be read of it.
    """
    out = tmp_path / "out"
    files = [spoilt["empty"], place.films["runner"], *map(spoilt.get, ("text", "headless", "torn"))]
    done = sorawatch(
        "replay", *files, "--config", place.config, "--camera", "plaza", "--out", out,
        "--start", "2026-11-01", "--json",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert (report["sources"], report["incomplete"]) == (5, 3)
    assert "3 of 5 sources could not be replayed" in done.stderr.splitlines()[-1]
    by_name = {
        Path(s.source).stem: s for s in load_manifest(out).cameras["plaza"].sources
    }  # fmt: skip
    assert "is empty" in (by_name["empty"].problem or "")
    for name in ("text", "headless"):
        assert "no video that can be decoded" in (by_name[name].problem or "")
        assert by_name[name].file is None
    assert by_name["runner"].complete
    assert 0.3 < by_name["torn"].frames_read / by_name["runner"].frames_read < 0.7


def test_a_folder_of_something_else_is_left_alone(place: Place, tmp_path: Path) -> None:
    """Nothing is written into a folder that is no replay, nor over a file."""
    out = tmp_path / "photos"
    out.mkdir()
    (out / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"holds holiday\.jpg, which is no replay's"):
        place.replay(out, place.runs("runner"))
    assert contents(out) == {"holiday.jpg": b"mine"}
    with pytest.raises(ConfigError, match="is a file"):
        place.replay(out / "holiday.jpg", place.runs("runner"))
    (out / "holiday.jpg").rename(out / "replay.json")
    with pytest.raises(ReplayError, match="no JSON"):
        place.replay(out, place.runs("runner"))
    assert contents(out) == {"replay.json": b"mine"}


def test_a_wrong_name_costs_no_earlier_replay(place: Place, whole: Path, tmp_path: Path) -> None:
    """Where no source can be opened nothing is replaced."""
    before = contents(whole)
    runs = gather([Source.parse(str(tmp_path / "typo.mp4"))], "plaza")
    with pytest.raises(SourceError, match=r"no source can be read: .*typo\.mp4 is not there"):
        place.replay(whole, runs)
    assert contents(whole) == before


def test_one_at_a_time_writes_to_a_folder(place: Place, whole: Path, tmp_path: Path) -> None:
    """Two at once, of two cameras too, would each forget what the other did."""

    def another(_now: ReplayProgress) -> None:
        with pytest.raises(ConfigError, match="another `sorawatch replay` is writing there"):
            place.replay(tmp_path / "out", place.runs("black"))

    place.replay(tmp_path / "out", place.runs("runner", "black"), on_progress=another)
    assert contents(tmp_path / "out") == contents(whole)


def test_what_somebody_broke_is_made_again(place: Place, whole: Path, tmp_path: Path) -> None:
    """Files that were removed are no reason to stop going on, nor broken ones to replay anew."""
    shutil.copytree(whole, tmp_path / "out")
    runs = place.runs("runner", "black")
    trace = tmp_path / "out" / "trace" / "plaza" / "0000.parquet"
    told = trace.with_name("0000.events.jsonl")
    trace.unlink()
    assert place.replay(tmp_path / "out", runs, resume=True).resumed == 1
    assert contents(tmp_path / "out") == contents(whole)
    told.write_text("broken")
    place.replay(tmp_path / "out", runs)
    assert contents(tmp_path / "out") == contents(whole)


def test_going_on_with_another_configuration_is_refused(
    place: Place, whole: Path, tmp_path: Path
) -> None:
    """What was scored or decided with other settings is not mixed with these, and stays."""
    other = place.config.with_name("other.yaml")
    tree = yaml.safe_load(place.config.read_text())
    tree["cameras"]["plaza"]["alerts_per_day"] = 3
    other.write_text(yaml.safe_dump(tree))
    before = contents(whole)
    with pytest.raises(ReplayError, match="another configuration of the camera: it cannot go on"):
        run(place.runs("runner"), load_config(other), "plaza", whole, resume=True)
    assert contents(whole) == before


def test_a_full_disk_keeps_what_was_finished(place: Place, whole: Path, tmp_path: Path) -> None:
    """It is told with what to do; then `resume` goes on, and ends as if nothing had happened."""
    with small_disk(tmp_path / "disk", 4096) as disk:
        ballast: list[Path] = []

        def full(now: ReplayProgress) -> None:
            if now.sources_done == 1 and not ballast:
                ballast.append(fill(disk, leave=4096))

        runs = place.runs("runner", "black")
        with pytest.raises(ResourceError, match="1 sources that were finished are kept: make room"):
            place.replay(disk / "out", runs, on_progress=full)
        assert [s.complete for s in load_manifest(disk / "out").cameras["plaza"].sources] == [True]
        assert len(traces(disk / "out")) == 1
        ballast[0].unlink()
        assert place.replay(disk / "out", runs, resume=True).resumed == 1
        assert contents(disk / "out") == contents(whole)


def test_an_interrupted_replay_goes_on(place: Place, whole: Path, tmp_path: Path) -> None:
    """Ctrl-C ends it at once and leaves what was finished; `--resume` does the rest."""
    films = [place.films["runner"], place.films["black"]]
    arguments = [
        "replay", *map(str, films), "--config", str(place.config), "--camera", "plaza",
        "--out", str(tmp_path / "out"), "--start", "2027-01-15T08:00:00Z", "--jobs", "1",
    ]  # fmt: skip
    process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    manifest = tmp_path / "out" / "replay.json"
    while process.poll() is None and not (manifest.exists() and load_manifest(manifest.parent)
                                          .cameras["plaza"].sources):  # fmt: skip
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert len(traces(tmp_path / "out")) == 1
    assert {event["seq"] for event in events_of(tmp_path / "out")} >= {1}
    assert main([*arguments, "--resume"]) == 0
    assert contents(tmp_path / "out") == contents(whole)


def test_at_its_own_speed_it_publishes_as_if_live(
    place: Place, whole: Path, tmp_path: Path
) -> None:
    """`--speed` sends the messages through ZeroMQ as they are made, and changes none of them."""
    config = load_config(place.config)
    with Subscriber(config.alerts.publish) as heard:
        last = events_of(whole)[-1]["time"]

        def listen(_now: ReplayProgress) -> None:
            if heard.available is None:
                heard.until(lambda: heard.available is not None, 20)

        place.replay(tmp_path / "out", place.runs("runner", "black"), speed=20, on_progress=listen)
        heard.until(lambda: bool(heard.events) and heard.events[-1]["time"] == last, 10)
        assert contents(tmp_path / "out") == contents(whole)
        told = {(e["id"], e["type"], e["time"]): e for e in events_of(whole)}
        for event in heard.events:
            same = told[event["id"], event["type"], event["time"]]
            assert event | {"seq": 0, "stream": ""} == same | {"seq": 0, "stream": ""}
        assert any(event["kind"] == "anomaly" for event in heard.events)
    assert not config.alerts.outbox.exists()  # the program's own, and it hears nothing of this


def test_when_files_are(place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file ends when it was last changed; copies that would overlap follow one another, told.

    The order of time is that of the trace, whatever the order in which they are named.
    """
    late, early = tmp_path / "late.mp4", tmp_path / "early.mp4"
    for path, ends_s in ((late, START_UTC_S + 3600), (early, START_UTC_S)):
        path.write_bytes(place.films["runner"].read_bytes())
        os.utime(path, (ends_s, ends_s))
    sources = [Source.parse(str(path)) for path in (late, early)]
    assert [run.start_utc_s for run in gather(sources, "plaza")] == [
        pytest.approx(START_UTC_S - 12), pytest.approx(START_UTC_S + 3588),
    ]  # fmt: skip
    os.utime(late, (START_UTC_S + 1, START_UTC_S + 1))
    assert [run.text for run in gather(sources, "plaza")] == [str(late), str(early)]
    assert "by the times at which they were changed the sources overlap" in caplog.text


def test_what_folders_hold_is_found(
    place: Place, tmp_path: Path, make: Callable[[str], Path]
) -> None:
    """A folder of frames, of videos, and a data set are each taken for what they are."""
    frames = write_folder(tmp_path / "frames", 4)
    assert len(gather([Source.parse(str(frames))], "plaza")) == 1
    videos = make("videos")
    (videos / "notes.txt").touch()
    for name in ("2.mp4", "10.mp4"):
        (videos / name).symlink_to(place.films["runner"])
    found = gather([Source.parse(str(videos))], "plaza", start_utc_s=START_UTC_S)
    assert [Path(run.text).name for run in found] == ["2.mp4", "10.mp4"]
    for split in ("train", "test"):
        make(f"set/{split}")
        (tmp_path / "set" / split / "a.mp4").symlink_to(place.films["runner"])
    labels = {"a": {"frames": 120, "fps": 10, "anomalous": [[40, 60]]}}
    (tmp_path / "set" / "labels.json").write_text(json.dumps(labels))
    found = gather([Source.parse(str(tmp_path / "set"))], "plaza", start_utc_s=START_UTC_S)
    assert [run.text for run in found] == [str(tmp_path / "set" / "test" / "a.mp4")]
    with pytest.raises(ConfigError, match="neither pictures nor videos"):
        gather([Source.parse(str(make("nothing")))], "plaza")
    (make("named") / os.fsdecode(b"\xff.mp4")).touch()
    with pytest.raises(ConfigError, match="is not UTF-8: rename it"):
        gather([Source.parse(str(tmp_path / "named"))], "plaza")
    with pytest.raises(ConfigError, match="only footage can be replayed: record it first"):
        gather([Source.parse("rtsp://u:secret@127.0.0.1/x")], "plaza")


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    """Makes folders."""

    def folder(name: str) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True)
        return path

    return folder


def test_events_have_the_type_that_is_published(whole: Path) -> None:
    """What others read from events.jsonl is what the wire's own reader takes."""
    lines = (whole / "events.jsonl").read_bytes().splitlines()
    assert all(Event.model_validate_json(line).kind in ("anomaly", "health") for line in lines)
