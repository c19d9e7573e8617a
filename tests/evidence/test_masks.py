"""Privacy masks: what lies under them is nowhere, live and in replay alike."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from program import sorawatch, write_config
from video import draw

from sorawatch import ConfigError
from streamer.capture.frame import FrameHeader
from streamer.capture.masks import Masks, covered
from streamer.capture.messages import CameraSpec, read_spec, start_message
from streamer.capture.opener import OpenOptions, open_source
from streamer.capture.ring import FrameRing
from streamer.capture.shelf import Shelf
from streamer.capture.source import Source
from streamer.config import resolve
from streamer.config_load import load_config
from streamer.fit import fit
from streamer.opening import capture_settings
from streamer.reading import SourceReader

MASK = ((0.5, 0.0), (1.0, 0.0), (1.0, 0.4), (0.7, 0.55))
SECRET = (255, 0, 255)
SIZES = [(320, 180), (640, 360), (1280, 720), (1000, 700), (640, 1137)]


def write_scene(
    folder: Path, frames: int, size: tuple[int, int], *, secret: bool, step: int = 1
) -> Path:
    """PNGs of one scene; under the mask lies what nobody is to see, or something else."""
    folder.mkdir(parents=True)
    width, height = size
    polygon = np.round(np.array(MASK) * (width, height)).astype(np.int32)
    under = np.zeros((height, width), np.uint8)
    cv2.fillPoly(under, [polygon], 255)
    # The polygon's own pixels alone: not one that it only touches.
    under = cv2.erode(under, np.ones((3, 3), np.uint8), borderValue=255).astype(bool)
    for number in range(frames):
        picture = draw(step * number, width, height)
        picture[under] = SECRET if secret else (10 * number % 255, 90, 30)
        assert cv2.imwrite(str(folder / f"{number:04}.png"), picture)
    return folder


class Spied:
    """A reader that remembers what memory it was told to decode into."""

    def __init__(self, source: Path) -> None:
        self.reader = open_source(Source.parse(str(source)), OpenOptions())
        self.into: list[np.ndarray] = []
        self.size = self.reader.size
        self.damage = self.reader.damage

    def retrieve(self, out: np.ndarray | None = None) -> np.ndarray:
        if out is not None:
            self.into.append(out)
        return self.reader.retrieve(out)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_masked_changes_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    """Two scenes that differ only under the mask are the same in shared memory, to the last bit.

    Picture and luma are all that detector, pictures, clips, traces and normality are made of, so
    these are the same too. Nothing is ever decoded into shared memory either.
    """
    memories, shown = [], np.zeros(0)
    for secret in (True, False):
        spied = Spied(write_scene(tmp_path / str(secret), 3, size, secret=secret))
        with FrameRing.create(4) as ring:
            shelf = Shelf(ring, spied, (MASK,))  # type: ignore[arg-type]
            for number in range(3):
                assert spied.reader.grab()
                validity, _ = shelf.put(spied)  # type: ignore[arg-type]
                seq = ring.commit(FrameHeader(1, number, number, number, validity, number))
                stored = ring.read(seq)
                assert stored is not None
                assert not any(np.shares_memory(stored.picture, into) for into in spied.into)
                shown = stored.picture.copy()
            memories.append(bytes(ring._segment.buffer))
        spied.reader.close()
    assert memories[0] == memories[1]
    assert (shown[covered((MASK,), shown.shape)] == 0).all()
    assert shown[-1].any(), "the rest is there"


def test_masks_reach_every_reader(tmp_path: Path) -> None:
    """A camera's masks travel through the pipe to the worker, and to what reads recordings."""
    folder = write_scene(tmp_path / "scene", 20, (320, 180), secret=True)
    source = Source.parse(str(folder), fps=10.0)
    config = write_config(tmp_path, {"gate": {"source": str(folder), "masks": [MASK]}})
    camera = resolve(load_config(config))["gate"]
    assert camera.masks == (MASK,)
    spec = CameraSpec("gate", source, capture_settings(camera))
    message = json.loads(json.dumps(start_message(1, spec, "ring")))
    assert read_spec(message).settings.masks == (MASK,)
    with SourceReader([source], 5.0, camera.masks) as reader:
        pictures = [window.seen.picture() for window in reader.windows()]
    assert len(pictures) > 5
    hidden = covered((MASK,), (180, 320))
    assert all(shown is not None and not shown[hidden].any() for shown in pictures)


def test_no_file_of_a_replay_holds_what_is_masked(tmp_path: Path) -> None:
    """Two recordings that differ only under the mask leave the same bytes when they are replayed:
    traces, messages and pictures. What is learned from them is the same too."""
    calm = write_scene(tmp_path / "calm", 250, SIZES[0], secret=True)
    normal, source = tmp_path / "gate.normal", Source.parse(str(calm), fps=10.0)
    fit([source], normal, use_encoder=False, masks=(MASK,))
    camera = {"source": str(calm), "normal": "gate.normal", "masks": [MASK]}
    camera["alerts_per_day"] = 100_000
    config = write_config(tmp_path, {"gate": camera}, detect={"encoder": "off"})
    made = []
    for secret in (True, False):
        scene = write_scene(tmp_path / f"{secret}", 60, SIZES[0], secret=secret, step=4)
        out = tmp_path / f"out-{secret}"
        where = ("--config", config, "--camera", "gate", "--out", out, "--jobs", 1)
        done = sorawatch("replay", scene, *where, "--start", "2026-11-27T14:30:00Z")
        assert done.returncode == 0, done.stderr
        files = {
            path.relative_to(out): path.read_bytes()
            for path in [*out.glob("pictures/*"), *out.glob("trace/*/*")]
        }
        lines = (out / "events.jsonl").read_text().splitlines()
        # The stream is named after the sources, which are two.
        made.append((files, [{**json.loads(line), "stream": ""} for line in lines]))
    assert any(path.suffix == ".jpg" for path in made[0][0]), "nothing was unusual"
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "wrong",
    [[], [[[0, 0], [1, 1]]], [[[0, 0], [1, 0], [2, 1]]], [[[0, 0], [0.5, 0.5], [1, 1]]], "all"],
)
def test_a_mask_that_covers_nothing_is_an_error(tmp_path: Path, wrong: object) -> None:
    """A polygon that is none, or lies elsewhere, is told, not passed over."""
    config = write_config(tmp_path, {"gate": {"source": "rtsp://10.0.0.1/x", "masks": wrong}})
    if wrong == []:
        assert load_config(config).cameras["gate"].masks == ()
        return
    with pytest.raises(ConfigError, match="masks"):
        load_config(config)


@pytest.mark.parametrize("shape", [(1, 1), (8, 640), (360, 640)])
def test_every_pixel_that_is_touched_is_covered(shape: tuple[int, int]) -> None:
    """Also where a polygon is thinner than a pixel, and at the picture's edges."""
    height, width = shape
    thin = ((0.31, 0.2), (0.3101, 0.2), (0.3101, 0.9), (0.31, 0.9))
    hidden = covered((thin,), shape)
    assert hidden[int(0.2 * height) : int(0.9 * height) + 1, int(0.31 * width)].all()
    whole = covered((((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),), shape)
    assert whole.all()
    picture = np.full((*shape, 3), 200, np.uint8)
    Masks(()).apply(picture)
    assert picture.all()
    assert not Masks(())
