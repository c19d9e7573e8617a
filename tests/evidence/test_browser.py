"""Clips in a real browser: headless Chromium plays them to their end."""

import http.server
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from evidence_rig import UTC_S, picture

from streamer.evidence.clip import find_encoder, write_clip
from streamer.evidence.reel import Still, compress

PATIENCE_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
PAGE = """<!doctype html><canvas></canvas><video muted playsinline></video><script>
const video = document.querySelector('video'), canvas = document.querySelector('canvas');
const seen = {};
const tell = what => fetch('/told', {method: 'POST', body: JSON.stringify({...seen, ...what})});
video.onerror = () => tell({error: video.error.message || video.error.code});
video.onloadeddata = () => {
  Object.assign(seen, {width: video.videoWidth, height: video.videoHeight, s: video.duration});
  canvas.width = seen.width; canvas.height = seen.height;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  seen.rgb = [...context.getImageData(seen.width / 24, seen.height / 4, 1, 1).data].slice(0, 3);
  video.playbackRate = 8;
  video.play().catch(e => tell({error: String(e)}));
};
video.onended = () => tell({ended: video.currentTime});
video.src = '/clip.mp4';
</script>"""


class Site(http.server.SimpleHTTPRequestHandler):
    """A page with the clip, and an ear for what it has to say."""

    told: "queue.SimpleQueue[dict[str, Any]]" = queue.SimpleQueue()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.told.put(json.loads(body))

    def log_message(self, *_args: object) -> None:
        return


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server of this folder; its address."""
    handler = partial(Site, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.browser
def test_a_browser_plays_a_clip(tmp_path: Path) -> None:
    """Size, length and first picture are right, and it plays to its end; pictures a second apart
    among those of a fifth of one included."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser here: install chromium")
    times_s = [0.0, 1.0, *(2 + n / 5 for n in range(30))]
    stills = [
        Still(UTC_S + t_s, t_s, compress(picture(n * 2 + 1, 640, 360)) or b"")
        for n, t_s in enumerate(times_s)
    ]
    write_clip(tmp_path / "clip.mp4", stills, "e", find_encoder())
    (tmp_path / "index.html").write_text(PAGE)
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    with served(tmp_path) as address:
        browser = subprocess.Popen(
            [chromium, *FLAGS, profile, f"{address}/index.html"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told = Site.told.get(timeout=PATIENCE_S)
        finally:
            browser.kill()
            browser.wait()
    assert "error" not in told
    assert (told["width"], told["height"]) == (640, 360)
    assert told["s"] == pytest.approx(times_s[-1], abs=0.5)
    assert told["ended"] == pytest.approx(told["s"], abs=0.3)
    assert min(told["rgb"]) > 215, "the first bar of the first picture is nearly white"
