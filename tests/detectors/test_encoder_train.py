"""Training: seeded, resumable, and clear about footage that it cannot use."""

import csv
import json
import multiprocessing
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")
pytest.importorskip("onnxscript", reason="onnxscript (extra train) is absent")

from detectors.encoder.augment import mirror, zoom  # noqa: E402
from detectors.encoder.contract import CHANNELS, FLOW, LUMA, PRECISIONS, Contract  # noqa: E402
from detectors.encoder.data import Batches  # noqa: E402
from detectors.encoder.features import detail_of, pack, unpack  # noqa: E402
from detectors.encoder.footage import Run, load_runs  # noqa: E402
from detectors.encoder.model import EncoderConfig, SoraEncoder  # noqa: E402
from detectors.encoder.plant import Kind, crop, moving_boxes, paste, scale, take, turn  # noqa: E402
from detectors.encoder.session import EncoderSession  # noqa: E402
from detectors.encoder.train import Trainer, auc, load_checkpoint, train  # noqa: E402
from detectors.encoder.train_config import load_train_config  # noqa: E402
from sorawatch import (  # noqa: E402
    ConfigError,
    DeviceError,
    ModelError,
    ResourceError,
    SourceError,
)
from streamer.cli.export import export  # noqa: E402

Caplog = pytest.LogCaptureFixture
SIZE = (64, 96)
C = len(CHANNELS)


def picture(i: int, speed: float = 1.5) -> np.ndarray:
    """Two textured things that walk to and fro over a textured ground."""
    ground = np.random.default_rng(5).integers(60, 120, SIZE, dtype=np.uint8)
    ground = cv2.GaussianBlur(ground, (5, 5), 0)
    thing = np.random.default_rng(6).integers(150, 255, (16, 8), dtype=np.uint8)
    for y, start in ((10, 0), (36, 30)):
        x = int(abs((start + speed * i) % 160 - 80))
        ground[y : y + 16, x : x + 8] = thing
    return ground


def make_clip(folder: Path, frames: int, speed: float = 1.5) -> Path:
    folder.mkdir(parents=True)
    for i in range(frames):
        cv2.imwrite(str(folder / f"{i:03}.png"), picture(i, speed))
    return folder


def make_config(path: Path, **changes: object) -> Path:
    config = {
        "name": "test",
        "seed": 4,
        "footage": [{"files": "a/*", "camera": "a"}, {"files": "b/*"}],
        "held_out": ["a/2"],
        "steps": 4,
        "batch": 4,
        "crop_px": [48, 64],
        "warm_up": 2,
        "checkpoint_every": 2,
        "validate_every": 2,
        "model": {"dim": 16, "heads": 2, "layers": 1, "window_dim": 8, "token_dim": 8,
                  "stem": [8, 8, 8]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(config | changes))
    return path


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("footage")
    for name, speed in (("a/1", 1.5), ("a/2", 1.4), ("b/1", 2.5)):
        make_clip(root / name, 80, speed)
    return root


@pytest.fixture(scope="module")
def runs(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    cache = tmp_path_factory.mktemp("cache")
    speeds = (1.0, 0.5, 1.5, 2.0, 3.0)
    return [
        run
        for name in ("a/1", "a/2", "b/1")
        for run in load_runs(footage / name, name[0], speeds, cache)
    ]


@pytest.fixture(autouse=True)
def _footage(footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAWATCH_FOOTAGE", str(footage))


@dataclass(frozen=True)
class Trained:
    """What one short training left behind."""

    out: Path
    path: Path
    steps: list[int]


@pytest.fixture(scope="module")
def trained(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, steps = tmp_path_factory.mktemp("trained"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SORAWATCH_FOOTAGE", str(footage))
        path = train(
            make_config(folder / "c.yaml"),
            folder / "out",
            cache=folder / "cache",
            progress=lambda step, _, losses: steps.append(step) or losses["total"],
        )
    return Trained(folder / "out", path, steps)


def test_training_gives_an_encoder_and_its_metrics(trained: Trained) -> None:
    """A training ends with an encoder that the program takes, a checkpoint, and a table."""
    assert trained.steps == [1, 2, 3, 4]
    with (trained.out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [2, 4]
    assert {"total", "plant", "auc"} <= set(rows[0])
    contract = EncoderSession(trained.path, "cpu", 1).contract
    assert (contract.name, contract.token_dim) == ("test, 4 steps", 8)
    assert sorted(p.name for p in trained.out.iterdir()) == [
        "checkpoint.pt",
        "metrics.csv",
        "sora.onnx",
    ]


def test_a_checkpoint_is_exported_in_float16(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sorawatch export --half` asks for float16 and says that it is; without it, float32."""

    def instead(model: SoraEncoder, path: Path, name: str, *, half: bool) -> Contract:
        path.write_text("half" if half else "single")
        sizes = {"token_dim": 8, "window_dim": model.window_dim, "feature_dim": model.feature_dim}
        return Contract(name, precision=PRECISIONS[half], **sizes)

    monkeypatch.setattr("detectors.encoder.train.export_onnx", instead)
    path = tmp_path / "sora.onnx"
    arguments = [str(trained.out / "checkpoint.pt"), "--out", str(path), "--json"]
    for more, said, written in (
        (["--half"], "float16", "half"),
        ([], "float32", "single"),
    ):
        result = CliRunner().invoke(export, [*arguments, *more], catch_exceptions=False)
        assert json.loads(result.stdout)["precision"] == said
        assert path.read_text() == written


@pytest.mark.parametrize(
    "shape", [(1, 8, C, 120, 180), (2, 8, C, 101, 180), (5, 8, C, 48, 64), (3, 3, C, 16, 40)]
)
def test_onnx_is_what_torch_computes(trained: Trained, shape: tuple[int, ...]) -> None:
    """The exported file gives what torch gives, at several batch sizes, lengths and sizes."""
    state = load_checkpoint(trained.out / "checkpoint.pt")
    config = load_train_config(trained.out.parent / "c.yaml")
    model = SoraEncoder(EncoderConfig(**config.model.model_dump()))
    model.load_state_dict(state["model"])
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32) * 0.3
    out = EncoderSession(trained.path, "cpu", 1).run(x)
    with torch.no_grad():
        wanted = model.eval()(torch.from_numpy(x))
    for mine, theirs in zip((out.window, out.tokens, out.anomaly), wanted, strict=True):
        assert np.abs(mine - theirs.numpy()).max() < 1e-5


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    tmp_path: Path, runs: list[Run]
) -> None:
    """Interrupted in the third of four steps and started again, the weights are the same bits."""
    config = load_train_config(make_config(tmp_path / "c.yaml"))

    class Interrupted(Exception):
        pass

    def interrupt(step: int, _steps: int, _losses: object) -> None:
        if step == 3:
            raise Interrupted

    def trainer(name: str) -> Trainer:
        (tmp_path / name).mkdir(exist_ok=True)
        made = Trainer(config, runs, [], tmp_path / name)
        made.resume()
        return made

    trainer("whole").run()
    with pytest.raises(Interrupted):
        trainer("parts").run(interrupt)
    again = trainer("parts")
    assert again.step == 2
    again.run()
    whole, parts = (load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("whole", "parts"))
    assert parts["step"] == 4
    for name, weights in whole["model"].items():
        assert torch.equal(weights, parts["model"][name]), name


def test_processes_that_make_batches_change_nothing(tmp_path: Path, runs: list[Run]) -> None:
    """Batches made ahead by two processes give the same bits as those made one at a time."""
    config = load_train_config(make_config(tmp_path / "c.yaml"))
    weights = []
    for workers in (0, 2):
        (tmp_path / str(workers)).mkdir()
        trainer = Trainer(config, runs, [], tmp_path / str(workers), workers=workers)
        trainer.run()
        weights.append(trainer.model.state_dict())
    alone, helped = weights
    for name, value in alone.items():
        assert torch.equal(value, helped[name]), name


def test_processes_that_cannot_hand_over_are_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where shared memory is as small as containers have it, a training says so, not waits."""
    small = os.statvfs_result((4096, 4096, 20, 20, 20, 0, 0, 0, 0, 255))
    monkeypatch.setattr("detectors.encoder.loading.os.statvfs", lambda _path: small)
    with pytest.raises(ResourceError, match=r"room for the batches of 0 processes"):
        train(make_config(tmp_path / "c.yaml"), tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_a_process_that_dies_ends_the_training_with_a_reason(
    tmp_path: Path, runs: list[Run]
) -> None:
    """Killed for memory, a process that makes batches is no reason to wait for it."""
    config = load_train_config(make_config(tmp_path / "c.yaml", steps=400))
    trainer = Trainer(config, runs, [], tmp_path, workers=1)

    def kill(step: int, _steps: int, _losses: object) -> None:
        if step == 1:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(ResourceError, match="fewer --workers"):
        trainer.run(kill)


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who asked for a GPU waits for a CPU instead; nothing is written."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda is not available"):
        train(make_config(tmp_path / "c.yaml"), tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, runs: list[Run]) -> None:
    """A folder that holds another training is not carried on by mistake."""
    first, other = (
        load_train_config(make_config(tmp_path / "c.yaml", seed=seed)) for seed in (1, 2)
    )
    Trainer(first, runs, [], tmp_path).save()
    with pytest.raises(ModelError, match="another configuration"):
        Trainer(other, runs, [], tmp_path).resume()


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused, and so is any other rubbish."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    path = tmp_path / "checkpoint.pt"
    for data in (pickle.dumps(Evil()), b"rubbish", b""):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="not a checkpoint"):
            load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"stepz": 1}, "stepz"),
        ({"steps": 0}, "steps"),
        ({"crop_px": [50, 64]}, "crop_px"),
        ({"model": {"dim": 10, "heads": 4}}, "model.heads"),
        ({"footage": []}, "footage"),
        ({"objectives": {"plants": 1.0}}, "objectives"),
    ],
)
def test_configuration_errors_name_file_and_key(
    tmp_path: Path, changes: dict[str, object], key: str
) -> None:
    """A mistake in the configuration is told with the file and the key."""
    path = make_config(tmp_path / "c.yaml", **changes)
    with pytest.raises(ConfigError, match=rf"c\.yaml: {key}"):
        load_train_config(path)


@pytest.mark.parametrize("name", ["sora.yaml", "small.yaml"])
def test_the_shipped_configurations_are_valid(name: str) -> None:
    """What stands in configs/train/ loads."""
    path = Path(__file__).parents[2] / "configs" / "train" / name
    assert load_train_config(path).frames == 8


def test_footage_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No footage, one frame, changing sizes, and files that are no video: errors that name them."""
    cache, speeds = tmp_path / "cache", (1.0,)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="empty: a folder without pictures"):
        load_runs(tmp_path / "empty", "c", speeds, cache)
    with pytest.raises(SourceError, match="motion needs two"):
        load_runs(make_clip(tmp_path / "one", 1), "c", speeds, cache)
    changing = make_clip(tmp_path / "changing", 5)
    cv2.imwrite(str(changing / "900.png"), np.zeros((50, 50), np.uint8))
    with pytest.raises(SourceError, match="changes its size"):
        load_runs(changing, "c", speeds, cache)
    (changing / "000.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"000\.png: cannot be decoded"):
        load_runs(changing, "c", speeds, cache)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"text\.mp4: cannot be opened"):
        load_runs(tmp_path / "text.mp4", "c", speeds, cache)
    assert not list(cache.glob("*"))  # nothing half-written
    monkeypatch.setenv("SORAWATCH_FOOTAGE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="SORAWATCH_FOOTAGE"):
        train(make_config(tmp_path / "c.yaml"), tmp_path / "out")
    monkeypatch.setenv("SORAWATCH_FOOTAGE", str(tmp_path))
    with pytest.raises(SourceError, match="no footage there"):
        train(make_config(tmp_path / "c.yaml"), tmp_path / "out")


def test_footage_that_cannot_be_decoded_is_left_out(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Caplog
) -> None:
    """One bad file among good ones is named in a warning and costs the training nothing else."""
    make_clip(tmp_path / "good", 80)
    (tmp_path / "bad.mp4").write_text("no video")
    make_clip(tmp_path / "one", 1)
    monkeypatch.setenv("SORAWATCH_FOOTAGE", str(tmp_path))
    footage = [{"files": "good"}, {"files": "bad.mp4"}, {"files": "one"}]
    path = make_config(tmp_path / "c.yaml", footage=footage, held_out=[], steps=1)

    class Begun(Exception):
        pass

    def begin(*_: object) -> None:
        raise Begun

    with pytest.raises(Begun):
        train(path, tmp_path / "out", progress=begin)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 2
    assert "left out" in warnings[0]
    assert str(tmp_path / "bad.mp4") in warnings[0]
    assert str(tmp_path / "one") in warnings[1]


@pytest.mark.parametrize(
    ("frames", "said"), [(0, "no footage to train on"), (1, "no footage to train on"), (9, "long")]
)
def test_no_footage_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, said: str
) -> None:
    """Footage of no, one or too few frames is told as such, before a training has begun: there is
    neither an encoder nor a checkpoint nor a table, nor anything half-written in the cache."""
    make_clip(tmp_path / "clip", frames)
    monkeypatch.setenv("SORAWATCH_FOOTAGE", str(tmp_path))
    path = make_config(tmp_path / "c.yaml", footage=[{"files": "clip"}], held_out=[])
    with pytest.raises(SourceError, match=said):
        train(path, tmp_path / "out")
    left = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert all(p.parent.parent == tmp_path / "out" / "cache" for p in left)
    assert all((p.parent / "done").exists() for p in left)
    assert bool(left) == (frames > 1)


def test_a_full_disk_leaves_no_half_written_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the cache cannot be written, what was begun is removed, and the error comes through."""
    clip = make_clip(tmp_path / "clip", 5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        load_runs(clip, "c", (1.0,), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_follows_the_footage(tmp_path: Path) -> None:
    """Footage that has not changed is not decoded again; a picture that came later is seen."""
    clip, cache = make_clip(tmp_path / "clip", 20), tmp_path / "cache"
    (first, *_) = load_runs(clip, "c", (1.0,), cache)
    load_runs(clip, "c", (1.0,), cache)
    assert len(list(cache.iterdir())) == 1
    cv2.imwrite(str(clip / "020.png"), picture(20))
    cv2.imwrite(str(clip / "021.png"), picture(21))
    (longer, *_) = load_runs(clip, "c", (1.0,), cache)
    assert len(longer) == len(first) + 1


def test_a_run_keeps_the_detail(footage: Path, runs: list[Run]) -> None:
    """Frame i of a run is the clip's picture at twice the size of its motion."""
    run = next(r for r in runs if r.camera == "b" and r.speed == 2.0)
    assert run.size == SIZE
    assert run.details.shape[1:] == (2 * SIZE[0], 2 * SIZE[1])
    for i in (0, 5):
        shown = picture(int(run.picks[i]), 2.5)
        assert np.array_equal(run.details[run.picks[i]], detail_of(shown, SIZE))
        cut = unpack(crop(run, i, 8, 16, 32, 48)[LUMA])
        wanted = run.details[run.picks[i], 16:80, 32:128] / 255
        assert np.allclose(cut, wanted, atol=1e-6)


@pytest.mark.parametrize("field", ["x", "kind", "planted", "moving", "future", "group"])
def test_batches_depend_on_seed_and_step_alone(runs: list[Run], field: str) -> None:
    """The same step gives the same batch, whatever was asked for before; others give others."""
    first, second = (Batches(runs, 8, (48, 64), seed=9) for _ in range(2))
    first.batch(0, 4)
    first.batch(1, 4, augment=False)
    a, b = (getattr(batches.batch(3, 4), field) for batches in (first, second))
    assert a.dtype == b.dtype
    assert np.array_equal(a, b)
    if field == "x":
        assert not np.array_equal(a, second.batch(4, 4).x)
        assert not np.array_equal(a, Batches(runs, 8, (48, 64), seed=10).batch(3, 4).x)


def test_a_mirrored_window_is_the_mirrored_picture() -> None:
    """Left is right, pixel by pixel, at the size of the detail too; what goes right goes left."""
    x = np.random.default_rng(0).normal(size=(3, C, 12, 16)).astype(np.float32)
    mirrored = mirror(x)
    assert np.array_equal(unpack(mirrored[:, LUMA]), unpack(x[:, LUMA])[..., ::-1])
    right, down = FLOW.start, FLOW.start + 1
    assert np.array_equal(mirrored[:, right], -x[:, right, :, ::-1])
    assert np.array_equal(mirrored[:, down:], x[:, down:, :, ::-1])
    assert np.array_equal(mirror(mirrored), x)


@pytest.mark.parametrize("by", [0.8, 1.25, 2.0])
def test_a_zoomed_window_is_the_zoomed_picture(by: float) -> None:
    """The picture is enlarged as a picture, not each quarter of its pixels by itself, and flow
    grows with it, up to its limit."""
    across, along = np.meshgrid(np.linspace(0, 1, 128), np.linspace(0, 1, 96))
    x = np.zeros((2, C, 48, 64), np.float32)
    x[:, LUMA] = pack(((2 * across + along) / 3).astype(np.float32))
    x[:, FLOW] = 0.5
    x[1, FLOW] = 1.9
    size = (round(48 * by), round(64 * by))
    zoomed = zoom(x, size, by)
    assert zoomed.shape == (2, C, *size)
    luma = unpack(zoomed[:, LUMA])
    assert (np.diff(luma, axis=-1) >= -1e-6).all()
    assert (np.diff(luma, axis=-2) >= -1e-6).all()
    wanted = cv2.resize(unpack(x[0, LUMA]), (2 * size[1], 2 * size[0]))
    assert np.allclose(luma[0], wanted, atol=1e-6)
    assert np.allclose(zoomed[0, FLOW], 0.5 * by)
    assert np.allclose(zoomed[1, FLOW], min(2.0, 1.9 * by))


def test_batches_plant_things_and_say_where(runs: list[Run]) -> None:
    """Anomalies and ordinary cells both come, finite, and in range."""
    batch = Batches(runs, 8, (48, 64), seed=2).batch(0, 24)
    assert batch.x.shape == (24, 8, C, 48, 64)
    assert np.isfinite(batch.x).all()
    assert np.abs(batch.x[:, :, FLOW]).max() <= 2.0
    assert set(np.unique(batch.planted)) == {-1.0, 0.0, 1.0}
    assert Kind.FAST in batch.kind
    assert np.bincount(batch.group).tolist() == [6, 6, 6, 6]


def test_too_short_footage_is_refused(runs: list[Run]) -> None:
    """A window that fits into no clip is an error, not an endless search."""
    with pytest.raises(SourceError, match="long enough"):
        Batches(runs, 60, (48, 64), seed=0)


def test_planting(runs: list[Run]) -> None:
    """A blob keeps its luma and flow when pasted; scaled it is larger, turned it goes elsewhere."""
    run = next(r for r in runs if r.camera == "a" and r.speed == 1.0)
    i = next(i for i in range(8, len(run)) if moving_boxes(run, i))
    blob = take(run, i, 8, moving_boxes(run, i)[0])
    x = np.full((8, C, *SIZE), 0.5, np.float32)
    x[:, LUMA.stop :] = 0.0
    mask = paste(x, blob, (32, 48))
    assert mask.max() == pytest.approx(1.0)
    assert mask[:8].max() == 0.0
    inside = mask > 0.99
    right, down = FLOW.start, FLOW.start + 1
    moved = np.abs(x[-1, right][inside]).max()
    assert moved == pytest.approx(np.abs(blob.patches[-1, right][blob.masks[-1] > 0.99]).max())
    assert not x[-1, LUMA.stop :][:, mask == 0].any()
    assert scale(blob, 2.0).masks.shape[1] == 2 * blob.masks.shape[1]
    turned = turn(blob, np.pi / 2)
    assert np.allclose(turned.patches[:, down], blob.patches[:, right], atol=1e-6)
    assert np.allclose(turned.middles[-1], blob.middles[-1])


def test_auc_by_hand() -> None:
    """The share of pairs in the right order, ties half."""
    assert auc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(7 / 8)
    assert np.isnan(auc(np.array([]), np.array([1.0])))
