"""An RTSP server for tests, driven by JSON lines; run by the system's Python, which has `gi`.

One request a line on standard input, one reply a line on standard output. `rtsp_server.py` is
the other end and the documentation. It ends when its standard input does.
"""

import json
import resource
import sys
import threading
from dataclasses import dataclass
from typing import Any

import gi  # type: ignore[import-not-found,import-untyped,unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: E402
    GLib,
    Gst,
    GstApp,  # noqa: F401  its methods appear on the elements
    GstRtsp,
    GstRtspServer,
)

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
# No config-interval: `demux` puts the parameter sets in front of each key frame; the payloader
# would put them between its slices as well, and FFmpeg would take that for two pictures.
PIPELINE = (
    f"( appsrc name=feed format=time caps={CAPS} max-bytes=65536 ! rtph264pay name=pay0 pt=96 )"
)
ROLE = "viewer"


@dataclass(frozen=True)
class Clip:
    """The access units of one file; pushing one costs a reference, not a copy."""

    buffers: list[Any]
    pts_ns: list[int]  # from 0
    length_ns: int


def demux(path: str, fps: float | None) -> Clip:
    """H.264 access units of the file at `path`, re-timed to `fps` if that is given."""
    pipeline = Gst.parse_launch(
        "filesrc name=file ! parsebin ! h264parse config-interval=-1 "
        f"! {CAPS} ! appsink name=out sync=false"
    )
    pipeline.get_by_name("file").set_property("location", path)
    out = pipeline.get_by_name("out")
    pipeline.set_state(Gst.State.PLAYING)
    buffers = []
    while (sample := out.emit("try-pull-sample", 10 * Gst.SECOND)) is not None:
        buffers.append(sample.get_buffer())
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message is not None:
        raise ValueError(f"{path}: {message.parse_error()[0].message}")
    if not buffers:
        raise ValueError(f"{path}: no H.264 in it")
    first = min(buffer.pts for buffer in buffers)
    pts = [buffer.pts - first for buffer in buffers]
    frame_ns = max(pts) // max(1, len(pts) - 1)
    if fps is not None:
        ratio = (Gst.SECOND / fps) / frame_ns
        pts = [round(value * ratio) for value in pts]
        frame_ns = round(Gst.SECOND / fps)
    return Clip(buffers, pts, max(pts) + frame_ns)


class Feed:
    """Pushes a clip into one `appsrc` whenever it asks, once or for ever."""

    def __init__(self, source: Any, clip: Clip, once: bool) -> None:
        self._clip = clip
        self._once = once
        self._next = 0
        source.connect("need-data", self._push)

    def _push(self, source: Any, _wanted: int) -> None:
        turn, index = divmod(self._next, len(self._clip.buffers))
        if turn and self._once:
            source.emit("end-of-stream")
            return
        buffer = self._clip.buffers[index].copy()
        buffer.pts = self._clip.pts_ns[index] + turn * self._clip.length_ns
        buffer.dts = Gst.CLOCK_TIME_NONE
        self._next += 1
        source.emit("push-buffer", buffer)


class Server:
    """The operations that a line may ask for are the methods named `do_…`."""

    def __init__(self) -> None:
        self._server = GstRtspServer.RTSPServer()
        self._server.set_address("127.0.0.1")
        self._mounts = self._server.get_mount_points()
        self._clips: dict[tuple[str, float | None], Clip] = {}
        self._auth: Any = None
        self._method = ""
        self._passwords: dict[str, str] = {}
        self._started = 0

    def do_listen(self, port: int, auth: str) -> dict[str, Any]:
        """Bind the port (0 lets the system choose); `auth` is "", "basic" or "digest"."""
        self._method = auth
        if auth:
            self._auth = GstRtspServer.RTSPAuth()
            self._auth.set_supported_methods(
                GstRtsp.RTSPAuthMethod.DIGEST if auth == "digest" else GstRtsp.RTSPAuthMethod.BASIC
            )
            self._server.set_auth(self._auth)
        self._server.set_service(str(port))
        if self._server.attach(None) == 0:
            raise OSError(f"cannot listen on port {port}")
        return {"port": self._server.get_bound_port()}

    def do_user(self, name: str, password: str) -> dict[str, Any]:
        """Let a user in with this password, and no longer with an earlier one."""
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", ROLE)
        if self._method == "digest":
            self._auth.remove_digest(name)
            self._auth.add_digest(name, password, token)
        else:
            if name in self._passwords:
                old = GstRtspServer.RTSPAuth.make_basic(name, self._passwords[name])
                self._auth.remove_basic(old)
            self._auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
        self._passwords[name] = password
        return {}

    def do_serve(
        self, path: str, file: str, once: bool, shared: bool, fps: float | None
    ) -> dict[str, Any]:
        """Put a file behind a path; clients that play already keep what they had."""
        key = (file, fps)
        if key not in self._clips:
            self._clips[key] = demux(file, fps)
        clip = self._clips[key]
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PIPELINE)
        factory.set_shared(shared)
        factory.set_latency(0)
        if self._auth is not None:
            permissions = GstRtspServer.RTSPPermissions.new()
            for permission in ("media.factory.access", "media.factory.construct"):
                permissions.add_permission_for_role(ROLE, permission, True)
            factory.set_permissions(permissions)

        def configure(_factory: Any, media: Any) -> None:
            self._started += 1
            Feed(media.get_element().get_by_name("feed"), clip, once)

        factory.connect("media-configure", configure)
        self._mounts.remove_factory(path)
        self._mounts.add_factory(path, factory)
        return {"frames": len(clip.buffers), "length_ns": clip.length_ns}

    def do_remove(self, path: str) -> dict[str, Any]:
        """Take a path away: whoever asks for it now is told 404."""
        self._mounts.remove_factory(path)
        return {}

    def do_kick(self) -> dict[str, Any]:
        """Close every client's connection."""
        clients = self._clients()
        for client in clients:
            client.close()
        return {"clients": len(clients)}

    def do_stats(self) -> dict[str, Any]:
        """CPU seconds used so far, clients connected, media made since the start."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "clients": len(self._clients()),
            "media": self._started,
        }

    def _clients(self) -> list[Any]:
        found = self._server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF)
        return list(found)

    def answer(self, line: str) -> None:
        """Carry out one request and print its reply."""
        try:
            request = json.loads(line)
            operation = getattr(self, "do_" + request.pop("op"))
            reply = {"ok": True, **operation(**request)}
        except Exception as error:
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


def main() -> None:
    """Answer until standard input ends."""
    Gst.init(None)
    loop = GLib.MainLoop()
    server = Server()

    def once(function: Any, *args: Any) -> None:
        def call() -> bool:
            function(*args)
            return False

        GLib.idle_add(call)

    def read() -> None:
        for line in sys.stdin:
            once(server.answer, line)
        once(loop.quit)

    threading.Thread(target=read, name="requests", daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
