"""RTSP cameras for tests: a real server that can be broken in every way a camera breaks.

`RtspServer` serves H.264 files without re-encoding (a subprocess of the system's Python, which
has gst-rtsp-server); `CutLink` is a TCP link to it that can be cut, closed and damaged.
A client's share of the server's CPU, at 640x360 and 15 frames a second: 0.3 ms a second where
the clients of a path share one medium, 2 ms where each has its own.
"""

import functools
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("gst_server.py")
NEEDS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ('parsebin', 'h264parse', 'rtph264pay')))"
)


@functools.cache
def missing() -> str:
    """Why no RTSP server can be run here, or nothing."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"{SYSTEM_PYTHON} is missing"
    asked = subprocess.run([SYSTEM_PYTHON, "-c", NEEDS], capture_output=True, check=False)
    return (
        "gst-rtsp-server is missing (apt install python3-gi gir1.2-gst-rtsp-server-1.0 "
        "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad)"
        if asked.returncode
        else ""
    )


class RtspServer:
    """A server on 127.0.0.1; a context manager. Not for several threads at once.

    `auth`: what a client must bring: nothing, or a user's password by basic or by digest.
    `port`: 0 for any that is free; a restarted server keeps the one it had.
    """

    def __init__(self, auth: Literal["", "basic", "digest"] = "", port: int = 0) -> None:
        self.port = port
        self._auth = auth
        self._paths: dict[str, dict[str, Any]] = {}
        self._users: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server (again), with the paths and users that it had."""
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.port = self._ask("listen", port=self.port, auth=self._auth)["port"]
        for name, password in self._users.items():
            self._ask("user", name=name, password=password)
        for path, what in self._paths.items():
            self._ask("serve", path=path, **what)

    def kill(self) -> None:
        """End the server as a power cut would: now, also while it is suspended."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def suspend(self) -> None:
        """Stop the server without closing anything: a camera that hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def serve(
        self,
        name: str,
        file: Path,
        *,
        once: bool = False,
        shared: bool = False,
        fps: float | None = None,
    ) -> int:
        """Put an H.264 file (mp4, mkv, bare) behind a name; returns how many frames it has.

        Each client gets it from its first frame on, over and over, or only `once`; `shared`
        clients join one medium wherever it stands, which is cheap, but a client then waits for
        the next key frame. `fps` plays it at another rate. A name that is taken is served anew
        from here on; clients that play already keep what they have: `kick` them.
        """
        what = {"file": str(file), "once": once, "shared": shared, "fps": fps}
        frames: int = self._ask("serve", path=f"/{name}", **what)["frames"]
        self._paths[f"/{name}"] = what
        return frames

    def remove(self, name: str) -> None:
        """Take a name away: whoever asks for it from now on is told 404."""
        self._ask("remove", path=f"/{name}")
        del self._paths[f"/{name}"]

    def set_password(self, user: str, password: str) -> None:
        """Let a user in, with this password only."""
        self._ask("user", name=user, password=password)
        self._users[user] = password

    def kick(self) -> int:
        """Close every client's connection; returns how many there were."""
        clients: int = self._ask("kick")["clients"]
        return clients

    def cpu_s(self) -> float:
        """CPU time that the server has used since it started, seconds."""
        used: float = self._ask("stats")["cpu_s"]
        return used

    def url(self, name: str, user: str = "", password: str = "", port: int | None = None) -> str:
        """Where a client finds a name; `port`: that of a link instead of the server's own."""
        who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rtsp://{who}127.0.0.1:{port or self.port}/{name}"

    def _ask(self, op: str, **what: Any) -> dict[str, Any]:
        assert self._process is not None, "the server is not running"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"ok": False, "error": "it died"}
        if not reply["ok"]:
            raise RuntimeError(f"RTSP server, {op}: {reply['error']}")
        return reply


@dataclass(eq=False)
class _End:
    """One side of a connection through the link."""

    sock: socket.socket
    peer: "_End | None" = None
    waiting: bytearray = field(default_factory=bytearray)  # to be sent to this side
    damager: "_Damager | None" = None  # for what comes from this side


class CutLink:
    """A TCP link to a port of 127.0.0.1 that fails when told to; a context manager.

    `cut`: nothing passes any more in either direction and nobody is told, connections stay open
    and new ones are taken but not served; `mend` brings back whatever was held up.
    `drop_connections`: both sides are told that the connection has gone. `reboot` ends a cut as a
    camera does that has lost power: connections from before stay silent, new ones are served.
    `damage(share)`: this share of the RTP packets from the server has bytes of its payload
    changed, the same ones every time. `jump(seconds)`: the time stamps of the stream go on that
    much later (or earlier) than they would have.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._ends: set[_End] = set()
        self._lock = threading.Lock()  # guards the four below
        self._commands: list[str] = []
        self._share = 0.0
        self._offset_90k = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cut-link")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tell("end")
        self._thread.join()
        self._wake_r.close()
        self._wake_w.close()

    def cut(self) -> None:
        """Let nothing pass from here on."""
        self._tell("cut")

    def mend(self) -> None:
        """Let everything pass again."""
        self._tell("mend")

    def reboot(self) -> None:
        """Serve new connections again, and never again those from before the cut."""
        self._tell("reboot")

    def drop_connections(self) -> None:
        """Close every connection that there is."""
        self._tell("drop")

    def damage(self, share: float) -> None:
        """Change bytes in this share of the RTP packets, 0 to 1."""
        with self._lock:
            self._share = share

    def jump(self, seconds: float) -> None:
        """Move the stream's time stamps by this much from here on."""
        with self._lock:
            self._offset_90k += round(seconds * 90_000)

    def faults(self) -> tuple[float, int]:
        """Share of packets to damage, and what to add to time stamps, in 1/90,000 s."""
        with self._lock:
            return self._share, self._offset_90k

    def _tell(self, command: str) -> None:
        with self._lock:
            self._commands.append(command)
        self._wake_w.send(b"x")

    def _run(self) -> None:
        try:
            self._selector.register(self._wake_r, selectors.EVENT_READ)
            self._selector.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, events in self._selector.select():
                    if key.fileobj is self._wake_r:
                        self._wake_r.recv(4096)
                    elif key.fileobj is self._listener:
                        self._accept()
                    elif key.data in self._ends:
                        self._carry(key.data, events)
                with self._lock:
                    commands, self._commands = self._commands, []
                if not all(self._obey(command) for command in commands):
                    return
        finally:
            for end in tuple(self._ends):
                self._close(end)
            self._listener.close()
            self._selector.close()

    def _obey(self, command: str) -> bool:
        if command == "cut":
            for key in tuple(self._selector.get_map().values()):
                if key.fileobj is not self._wake_r:
                    self._selector.unregister(key.fileobj)
        elif command == "mend":
            self._selector.register(self._listener, selectors.EVENT_READ)
            for end in self._ends:
                self._selector.register(end.sock, self._wanted(end), end)
        elif command == "reboot":
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif command == "drop":
            for end in tuple(self._ends):
                self._close(end)
        return command != "end"

    def _accept(self) -> None:
        client = _End(self._listener.accept()[0])
        try:
            upstream = socket.create_connection(("127.0.0.1", self._upstream_port), timeout=5)
        except OSError:
            client.sock.close()
            return
        server = _End(upstream, client, damager=_Damager(self))
        client.peer = server
        for end in (client, server):
            end.sock.setblocking(False)
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends.add(end)
            self._selector.register(end.sock, selectors.EVENT_READ, end)

    def _carry(self, end: _End, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                del end.waiting[: end.sock.send(end.waiting)]
            if events & selectors.EVENT_READ:
                data = end.sock.recv(1 << 16)
                assert end.peer is not None
                if not data:
                    self._close(end)
                    return
                end.peer.waiting += end.damager.pass_on(data) if end.damager else data
                self._selector.modify(end.peer.sock, self._wanted(end.peer), end.peer)
            self._selector.modify(end.sock, self._wanted(end), end)
        except BlockingIOError:
            return
        except OSError:
            self._close(end)

    @staticmethod
    def _wanted(end: _End) -> int:
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if end.waiting else 0)

    def _close(self, end: _End) -> None:
        for side in (end, end.peer):
            if side is None or side not in self._ends:
                continue
            self._ends.discard(side)
            if side.sock in self._sockets():
                self._selector.unregister(side.sock)
            side.sock.close()

    def _sockets(self) -> Iterable[Any]:
        return [key.fileobj for key in self._selector.get_map().values()]


class _Damager:
    """Takes what a server sends apart into replies and interleaved packets, and spoils these."""

    def __init__(self, link: CutLink) -> None:
        self._link = link
        self._random = random.Random(7)
        self._held = bytearray()

    def pass_on(self, data: bytes) -> bytes:
        """What of `data`, and of what came before, may go on, spoilt as the link says."""
        self._held += data
        out = bytearray()
        while (length := self._length()) and length <= len(self._held):
            unit = self._held[:length]
            del self._held[:length]
            out += self._spoilt(unit) if unit[:2] == b"$\0" else unit
        return bytes(out)

    def _length(self) -> int:
        """Bytes of the unit that `_held` begins with; 0 when that cannot be said yet."""
        if self._held[:1] == b"$":
            return 4 + struct.unpack_from(">H", self._held, 2)[0] if len(self._held) >= 4 else 0
        head, end, _ = bytes(self._held).partition(b"\r\n\r\n")
        if not end:
            return 0
        body = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                body = int(line.partition(b":")[2])
        return len(head) + 4 + body

    def _spoilt(self, packet: bytearray) -> bytearray:
        share, offset = self._link.faults()
        stamp = struct.unpack_from(">I", packet, 8)[0]
        struct.pack_into(">I", packet, 8, (stamp + offset) % (1 << 32))
        if self._random.random() < share:
            for _ in range(8):  # not the RTP header, and not the kind of the NAL unit
                packet[self._random.randrange(min(18, len(packet) - 1), len(packet))] ^= 0xFF
        return packet
