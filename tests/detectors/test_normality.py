"""Normality: one file that comes back as it was written, or is refused with the reason."""

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import arrayfile
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.footage import Footage
from detectors.normality import Normality, load
from detectors.window import Window
from sorawatch import NormalityError, ResourceError
from tests.detectors import scene
from tests.detectors.fakes import FakeEncoder

LIFE = scene.normal_life(30)


def fitter_of(encoder: FakeEncoder | None = None, frames: int = len(LIFE)) -> NormalityFitter:
    fitter = NormalityFitter(encoder, "gate")
    for window in scene.windows(LIFE[:frames]):
        fitter.add(window)
    return fitter


@pytest.fixture(scope="module")
def normality() -> Normality:
    return fitter_of(FakeEncoder()).finish()


@pytest.fixture(scope="module")
def data(normality: Normality) -> bytes:
    return normality.to_bytes()


def scores(normality: Normality) -> list[object]:
    with Detector(FakeEncoder()) as detector:
        detector.add("gate", normality)
        feed = scene.windows(scene.normal_life(8, seed=8))
        return [detector.step([("gate", window)])[0] for window in feed]


def test_comes_back_as_it_was(normality: Normality, tmp_path: Path) -> None:
    """A loaded normality gives the same scores, thresholds and hash, bit for bit."""
    path = tmp_path / "normal" / "gate.normal"  # the folder is made
    normality.save(path)
    loaded = load(path)
    assert scores(loaded) == scores(normality)
    assert loaded.calibration.threshold(1) == normality.calibration.threshold(1)
    assert loaded.facts == normality.facts
    assert loaded.sha256 == normality.sha256
    assert loaded.to_bytes() == path.read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["gate.normal"]


def test_file_holds_no_pickle(data: bytes) -> None:
    """NumPy reads every array of the file without unpickling, and the header is JSON."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        header = json.loads(arrays["header.json"])
        assert all(arrays[name].dtype.kind in "fiu" for name in arrays.files if "json" not in name)
    assert header["encoder"] == FakeEncoder().sha256
    assert header["footage_s"] == pytest.approx(30, abs=0.5)


def test_failed_save_leaves_the_old_file(
    normality: Normality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails while saving, the old file is whole and nothing else is left."""
    path = tmp_path / "gate.normal"
    path.write_bytes(b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"gate\.normal: cannot be written: No space left"):
        normality.save(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["gate.normal"]


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere is in the error."""
    with pytest.raises(NormalityError, match=r"nowhere\.normal: cannot be read: No such file"):
        load(tmp_path / "nowhere.normal")


def rewrite(data: bytes, change: dict[str, bytes | None]) -> bytes:
    """The file with some members replaced, added or (None) left out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        members = {name: old.read(name) for name in old.namelist()} | change
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def header_of(data: bytes, **change: object) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return json.dumps(json.loads(archive.read("header.json")) | change).encode()


def bomb() -> bytes:
    """A few kilobytes that unpack to 40 MB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("bank.npy", bytes(40 << 20))
    return out.getvalue()


class Trap:
    """Would create a file if it were unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path("/nonexistent/trap").touch, ())


def lying_header() -> bytes:
    """An array that claims 10^12 numbers and holds none."""
    good = npy(np.zeros((2, 10), np.float32))
    return good.replace(b"(2, 10)", b"(9999999999, 10)").replace(b" " * 9 + b"\n", b"\n")


def broken_files(data: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"cameras:\n  gate: {}\n",
        "pickle": pickle.dumps({"bank": 1}),
        "foreign npz": rewrite(data, {"header.json": None}),
        "not a normality": rewrite(data, {"header.json": header_of(data, format="other")}),
        "from the future": rewrite(data, {"header.json": header_of(data, version=99)}),
        "from before there were figures": rewrite(
            data, {"header.json": header_of(data, version=1)}
        ),
        "scene is missing": rewrite(data, {"scene.npy": None}),
        "scene is of another size": rewrite(data, {"scene.npy": npy(np.zeros((3, 3), np.uint8))}),
        "scene is no picture": rewrite(data, {"scene.npy": npy(np.zeros((30, 45), np.float32))}),
        "figure bank is narrow": rewrite(data, {"figure_bank.npy": npy(np.zeros((5, 8), "f4"))}),
        "figure spread is zero": rewrite(data, {"figure_spread.npy": npy(np.zeros(6, np.float32))}),
        "figure tail is missing": rewrite(data, {"figure_tail.npy": None}),
        "header is a list": rewrite(data, {"header.json": b"[]"}),
        "header is broken": rewrite(data, {"header.json": b"{"}),
        "header is NaN": rewrite(data, {"header.json": header_of(data, fastest=float("nan"))}),
        "grid is wrong": rewrite(data, {"header.json": header_of(data, grid=[0, 4])}),
        "grid is text": rewrite(data, {"header.json": header_of(data, grid="30x45")}),
        "footage is text": rewrite(data, {"header.json": header_of(data, footage_s="4")}),
        "bank is missing": rewrite(data, {"bank.npy": None}),
        "bank is pickled": rewrite(data, {"bank.npy": npy(np.array([Trap()], object))}),
        "bank is text": rewrite(data, {"bank.npy": npy(np.array(["a"]))}),
        "bank is of another width": rewrite(data, {"bank.npy": npy(np.zeros((5, 3), np.float32))}),
        "bank is empty": rewrite(data, {"bank.npy": npy(np.zeros((0, 10), np.float32))}),
        "bank lies": rewrite(data, {"bank.npy": lying_header()}),
        "bank is NaN": rewrite(data, {"bank.npy": npy(np.full((5, 10), np.nan, np.float32))}),
        "encoder is no hash": rewrite(data, {"header.json": header_of(data, encoder="a\n")}),
        "footage is a moment": rewrite(data, {"header.json": header_of(data, calibrated_s=1e-320)}),
        "spread overflows": rewrite(data, {"spread.npy": npy(np.full(8, 1e-45, np.float32))}),
        "bank overflows": rewrite(data, {"bank.npy": npy(np.full((5, 10), 3e38, np.float32))}),
        "peaks overflow": rewrite(data, {"peaks.npy": npy(np.array([1.0, 1e308, 1.7e308]))}),
        "tail is certain": rewrite(data, {"speed_tail.npy": npy(np.full(259, 1e3))}),
        "spread is zero": rewrite(data, {"spread.npy": npy(np.zeros(8, np.float32))}),
        "tail is out of order": rewrite(data, {"speed_tail.npy": npy(np.arange(259.0)[::-1] + 1)}),
        "peaks are infinite": rewrite(data, {"peaks.npy": npy(np.array([np.inf]))}),
        "unpacks to too much": bomb(),
        "too many members": rewrite(data, {f"x{i}.npy": npy(np.zeros(1)) for i in range(99)}),
    }


def test_foreign_and_broken_files_are_refused(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else the file is, the error is ours, one line, and names the file."""
    monkeypatch.setattr(arrayfile, "MAX_CONTENT_BYTES", 32 << 20)
    path = tmp_path / "gate.normal"
    said = {}
    for kind, content in broken_files(data).items():
        path.write_bytes(content)
        try:
            load(path)
        except NormalityError as exc:
            said[kind] = str(exc)
        else:
            pytest.fail(f"a file whose {kind} was loaded")
    assert all(str(path) in text and "\n" not in text for text in said.values()), said


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32), cut=st.booleans())
def test_damaged_bytes_are_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory, seed: int, cut: bool
) -> None:
    """Bytes that fell over or got lost are noticed, or did not matter; nothing else happens."""
    rng = np.random.default_rng(seed)
    broken = bytearray(data[: rng.integers(0, len(data))] if cut else data)
    for at in rng.integers(0, max(1, len(broken)), rng.integers(1, 4)):
        if at < len(broken):
            broken[at] ^= int(rng.integers(1, 256))
    path = tmp_path_factory.getbasetemp() / "gate.normal"
    path.write_bytes(broken)
    try:
        loaded = load(path)
    except NormalityError as exc:
        assert "gate.normal" in str(exc)  # noqa: PT017
    else:
        assert loaded.to_bytes() == data


def test_too_large_is_refused_unread(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beyond the limit is not taken into memory."""
    path = tmp_path / "gate.normal"
    path.write_bytes(data)
    monkeypatch.setattr(arrayfile, "MAX_FILE_BYTES", len(data) - 1)
    with pytest.raises(NormalityError, match="larger than"):
        load(path)


def test_too_little_footage_is_said() -> None:
    """A few seconds, or none, are no normality."""
    with pytest.raises(NormalityError, match="gate: 0 s of normal footage are too little"):
        NormalityFitter(None, "gate").finish()
    with pytest.raises(NormalityError, match="gate: 3 s"):
        fitter_of(frames=20).finish()


def test_pictures_too_far_apart_are_said() -> None:
    """An hour of which no picture follows on another is not called too short."""
    fitter = NormalityFitter(None, "gate")
    for number, picture in enumerate(LIFE[:20]):
        fitter.add(Window((picture,), (float(number),), 0, number))
    with pytest.raises(NormalityError, match="too far apart"):
        fitter.finish()


def test_empty_street_is_normal_too() -> None:
    """From footage in which nothing ever moved one can learn: then whatever moves is unusual."""
    fitter = NormalityFitter()
    for window in scene.windows(scene.render(np.random.default_rng(0), [], 100)):
        fitter.add(window)
    normality = fitter.finish()
    threshold = normality.calibration.threshold(1)
    assert threshold.extrapolated
    with Detector() as detector:
        detector.add("gate", normality)
        values = [
            score.value
            for window in scene.windows(scene.normal_life(20))
            if (score := detector.step([("gate", window)])[0]) is not None
        ]
    assert max(values) > threshold.value


def passage(seed: int, frames: int) -> list[scene.Luma]:
    """Somebody passes from second 12.2 to 14.6, else nothing happens."""
    rng = np.random.default_rng(seed)
    person = scene.Walker(70.0, 40.0, 1.5, scene.texture(rng), start=61, end=73)
    return scene.render(rng, [person], frames)


def test_a_score_names_the_nearest_normal_moment(tmp_path: Path) -> None:
    """Whatever is unusual is told beside the moment of the footage that was most like it, by source
    and time in it; also after the file was read again."""
    fitter = NormalityFitter()
    fitter.begin("quiet.mp4")
    for window in scene.windows(scene.render(np.random.default_rng(2), [], 100)):
        fitter.add(window)
    fitter.begin("passage.mp4")
    for window in scene.windows(passage(1, 300)):
        fitter.add(replace(window, generation=1))
    fitter.finish().save(tmp_path / "gate.normal")
    normality = load(tmp_path / "gate.normal")
    with Detector() as detector:
        detector.add("gate", normality)
        scores = [detector.step([("gate", w)])[0] for w in scene.windows(passage(5, 80))]
    told = {
        normality.facts.moment(score.nearest_s)
        for score in scores
        if score is not None and score.nearest_s is not None
    }
    assert told
    assert told <= {f"0:{second} of passage.mp4" for second in range(12, 16)}
    assert scores[0] is not None
    assert scores[0].nearest_s is None  # nothing is unusual, so nothing is compared


def test_live_learning_tells_moments_since_it_began(normality: Normality) -> None:
    """Without sources, as when it learned live, a moment is how long it had learned."""
    assert normality.facts.moment(3725.4) == "1:02:05 after learning began"


def test_one_passage_is_known_afterwards() -> None:
    """At a quiet camera one person passed while it learned: the next one is not a sensation."""
    fitter = NormalityFitter()
    for window in scene.windows(passage(1, 300)):
        fitter.add(window)
    normality = fitter.finish()
    level = normality.calibration.threshold(1).value
    with Detector() as detector:
        detector.add("gate", normality)
        scores = [detector.step([("gate", w)])[0] for w in scene.windows(passage(5, 80))]
    assert max(score.value for score in scores if score is not None) < level


def test_another_picture_size_begins_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Two sizes make no normality; whoever waits for the end of learning reads why it is late."""
    fitter = fitter_of(frames=60)
    smaller = [frame[:100, :150] for frame in LIFE[:60]]
    for window in scene.windows(smaller):
        fitter.add(replace(window, generation=1))
    assert fitter.footage_s < 13
    assert "gate: learns anew: the picture size has changed" in caplog.text
    assert len(caplog.records) == 1
    assert fitter.finish().facts.grid == (25, 37)


@pytest.mark.parametrize("encoder", [None, FakeEncoder()])
def test_learning_carries_on_after_a_restart(encoder: FakeEncoder | None, tmp_path: Path) -> None:
    """Progress saved and loaded is all that was seen: the rest of the footage completes it."""
    path = tmp_path / "gate.progress"
    half = len(LIFE) // 2
    fitter = fitter_of(encoder, half)
    fitter.save_progress(path)
    carried = NormalityFitter.load_progress(path, encoder)
    assert carried.footage_s == fitter.footage_s
    assert carried.camera == "gate"
    one, other = carried.finish(), fitter.finish()
    assert one.bank.tokens.tobytes() == other.bank.tokens.tobytes()
    assert one.figures.scene.tobytes() == other.figures.scene.tobytes()
    assert one.figures.bank.tokens.tobytes() == other.figures.bank.tokens.tobytes()
    for window in scene.windows(LIFE, generation=0, start=half):
        carried.add(window)
    whole = fitter_of(encoder)
    assert carried.footage_s == pytest.approx(whole.footage_s, abs=0.5)
    one, other = carried.finish(), whole.finish()
    assert one.calibration.threshold(10).value == pytest.approx(
        other.calibration.threshold(10).value, rel=0.3
    )
    assert (one.appearance is None) == (encoder is None)


def test_foreign_progress_is_refused(data: bytes, tmp_path: Path) -> None:
    """Progress of another encoder, another file, or a damaged one cannot be carried on."""
    path = tmp_path / "gate.progress"
    path.write_bytes(data)
    with pytest.raises(NormalityError, match="holds no learning progress"):
        NormalityFitter.load_progress(path)
    fitter_of(FakeEncoder()).save_progress(path)
    with pytest.raises(NormalityError, match="another encoder"):
        NormalityFitter.load_progress(path)
    good = path.read_bytes()
    with np.load(io.BytesIO(good), allow_pickle=False) as arrays:
        rows, columns = arrays["rows"], arrays["vector_cols"]
    assert len(rows)
    assert len(columns)
    for change in (
        {"rows.npy": npy(rows + np.int16(1000))},
        {"rows.npy": npy(rows - np.int16(1000))},
        {"vector_cols.npy": npy(columns + np.int16(1000))},
        {"counts.npy": npy(np.zeros(3, np.int32))},
        {"frames.npy": npy(np.array([-5], np.int64))},
        {"features.npy": npy(np.zeros((4, 9), np.float32))},
        {"vectors.npy": None},
        {"cells.npy": npy(np.zeros((2, 30, 45), np.uint8))},
        {"cells.npy": npy(np.zeros((2, 3, 3), np.uint8))},
        {"looks.npy": npy(np.zeros(5, np.bool_))},
    ):
        path.write_bytes(rewrite(good, change))
        with pytest.raises(NormalityError, match=r"gate\.progress: broken"):
            NormalityFitter.load_progress(path, FakeEncoder())


def test_frames_that_came_at_once_spoil_nothing(tmp_path: Path) -> None:
    """Two frames a microsecond apart, as after a reconnect: what was learned can still be used."""
    fitter = fitter_of(None)
    before, now = (window.frames[-1] for window in list(scene.windows(LIFE))[5:9:3])
    fitter.add(Window((before,), (0.0,), 0, 1))
    fitter.add(Window((before, now), (0.0, 1e-6), 1, 1))
    path = tmp_path / "gate.normal"
    fitter.finish().save(path)
    assert np.isfinite(load(path).calibration.threshold(1).value)


def test_memory_is_bounded() -> None:
    """However long it learns, it keeps so many tokens and no more, from all of the footage."""
    fitter = NormalityFitter()
    fitter._footage = Footage(max_tokens=3000)
    for window in scene.windows(LIFE):
        fitter.add(window)
    blocks = fitter._footage.blocks()
    assert sum(len(block.rows) for block in blocks) <= 3000
    assert len(blocks) >= 2
    assert fitter.footage_s == pytest.approx(30, abs=0.5)
    fitter.finish()


def test_footage_that_was_not_kept_is_not_calm() -> None:
    """Where only a sample of the footage fits into memory, as many events are expected as before:
    otherwise days of learning would end in a threshold that is far too low."""
    fitters = NormalityFitter(), NormalityFitter()
    fitters[1]._footage = Footage(max_tokens=10_000)
    for window in scene.windows(scene.normal_life(120)):
        for fitter in fitters:
            fitter.add(window)
    sampled = fitters[1]._footage.blocks()
    kept_s = sum(float(block.passed_s.sum()) for block in sampled)
    assert kept_s < 0.6 * fitters[1].footage_s
    whole, sample = (fitter.finish().calibration for fitter in fitters)
    assert sample.footage_s == pytest.approx(kept_s, rel=0.1)
    assert sample.expected_per_day(1.0) > 0.6 * whole.expected_per_day(1.0)
