"""The demo's cameras: an RTSP server on loopback, H.264 over TCP, each client from the beginning.

    python -m streamer.demo.serve plaza=plaza.mp4 walkway=walkway.mp4

Runs as a child process. It writes a line of JSON for each thing that happens to standard output
(`Served`), and ends when standard input is closed: it cannot outlive whoever started it. It knows
when each frame left, which is how the demo knows the true time of every planted event.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from sorawatch import SourceError
from streamer.demo.packets import Footage, Packetizer, read_footage

_BEHIND_S = 10.0  # a client that is so far behind is cut off, as a camera would
_LONGEST_REQUEST = 65_536


@dataclass(frozen=True, slots=True)
class Served:
    """What happened: `ready` (with the port), `play` or `end` of a camera; UTC seconds.

    The `utc_s` of `play` is when the first frame was sent.
    """

    what: str
    camera: str
    utc_s: float
    port: int

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> "Served":
        """What `line` wrote."""
        return cls(**json.loads(line))


class RtspServer:
    """Serves footage by name at rtsp://127.0.0.1:PORT/NAME. For one event loop."""

    def __init__(self, cameras: Mapping[str, Footage], told: TextIO) -> None:
        """`told`: where `Served` lines go."""
        self._cameras = cameras
        self._told = told
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop`, then drop every client."""
        server = await asyncio.start_server(self._accept, sock=listening, limit=_LONGEST_REQUEST)
        async with server:
            self.tell("ready", "", listening.getsockname()[1])
            await stop.wait()
            server.close()
            for task in list(self._clients):
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of start_server runs in a task
        self._clients.add(task)
        client = _Client(self, reader, writer)
        try:
            await client.talk()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, _BadRequestError):
            pass  # the client went, or we do: either way this conversation is over
        finally:
            self._clients.discard(task)
            await client.close()

    def footage(self, url: str) -> tuple[str, Footage] | None:
        """The camera that a request's URL names."""
        path = re.sub(r"^rtsp://[^/]*", "", url).split("?")[0].strip("/")
        name = path.removesuffix("/track1")
        found = self._cameras.get(name)
        return None if found is None else (name, found)

    def tell(self, what: str, camera: str, port: int = 0) -> None:
        """Write down what happened."""
        print(Served(what, camera, time.time(), port).line(), file=self._told, flush=True)


class _BadRequestError(Exception):
    """What came is no RTSP."""


class _Client:
    """One connection: answers requests, and sends one stream once it is asked to play."""

    def __init__(
        self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._session = f"{random.getrandbits(48):012x}"
        self._channel = 0
        self._playing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop sending and hang up."""
        if self._playing is not None:
            self._playing.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._playing
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def talk(self) -> None:
        """Answer until the client hangs up or tears down."""
        while True:
            first = await self._reader.readexactly(1)
            if first == b"$":  # a receiver report, which needs no answer
                header = await self._reader.readexactly(3)
                await self._reader.readexactly(int.from_bytes(header[1:], "big"))
                continue
            try:
                head = first + await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError as exc:
                raise _BadRequestError from exc
            lines = head.decode("latin-1").strip().split("\r\n")
            words = lines[0].split()
            if len(words) != 3 or not words[2].startswith("RTSP/"):
                raise _BadRequestError
            fields = {
                key.strip().lower(): value.strip()
                for key, _, value in (line.partition(":") for line in lines[1:])
            }
            if length := int(fields.get("content-length", "0") or 0):
                await self._reader.readexactly(min(length, _LONGEST_REQUEST))
            if not await self._answer(words[0], words[1], fields):
                return

    async def _answer(self, method: str, url: str, fields: Mapping[str, str]) -> bool:
        """Answer one request; False when it was the last."""
        found = self._server.footage(url)
        status, extra, body = "200 OK", dict[str, str](), ""
        if method == "OPTIONS":
            extra["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
        elif method in ("GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"):
            extra["Session"] = self._session
        elif found is None:
            status = "404 Not Found"
        elif method == "DESCRIBE":
            extra = {"Content-Base": url.rstrip("/") + "/", "Content-Type": "application/sdp"}
            body = found[1].sdp()
        elif method == "SETUP":
            wish = fields.get("transport", "")
            if "TCP" not in wish:
                status = "461 Unsupported Transport"
            else:
                pair = re.search(r"interleaved=(\d+)", wish)
                self._channel = int(pair[1]) & 0xFE if pair else 0
                channels = f"{self._channel}-{self._channel + 1}"
                extra["Transport"] = f"RTP/AVP/TCP;unicast;interleaved={channels}"
                extra["Session"] = f"{self._session};timeout=60"
        elif method == "PLAY":
            extra = {"Session": self._session, "Range": "npt=0.000-"}
            if self._playing is None:
                packets = Packetizer(
                    random.getrandbits(32), random.getrandbits(16), random.getrandbits(31)
                )
                extra["RTP-Info"] = (
                    f"url={url.rstrip('/')}/track1;seq={packets.sequence};rtptime={packets.start}"
                )
                await self._reply(status, fields, extra, body)
                self._playing = asyncio.create_task(self._play(*found, packets))
                return True
        else:
            status = "501 Not Implemented"
        await self._reply(status, fields, extra, body)
        return method != "TEARDOWN"

    async def _reply(
        self, status: str, fields: Mapping[str, str], extra: Mapping[str, str], body: str
    ) -> None:
        head = [f"RTSP/1.0 {status}", f"CSeq: {fields.get('cseq', '0')}"]
        head += [f"{key}: {value}" for key, value in extra.items()]
        if body:
            head.append(f"Content-Length: {len(body)}")
        self._writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())
        await self._writer.drain()

    async def _play(self, name: str, footage: Footage, packets: Packetizer) -> None:
        """Send every frame at its time, then hang up."""
        started_s = time.monotonic()
        try:
            for number, (at_s, nals) in enumerate(footage.frames):
                early_s = started_s + at_s - time.monotonic()
                if early_s > 0:
                    await asyncio.sleep(early_s)
                elif early_s < -_BEHIND_S:
                    break
                self._writer.write(packets.interleaved(at_s, nals, self._channel))
                if number == 0:
                    self._server.tell("play", name)
                await self._writer.drain()
            else:
                early_s = started_s + footage.seconds - time.monotonic()
                await asyncio.sleep(max(early_s, 0.0))
            self._server.tell("end", name)
        except OSError:
            pass  # the client went; `talk` ends as well
        self._writer.close()


def listen_on_loopback(port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes any that is free."""
    return socket.create_server(("127.0.0.1", port))


async def _serve(cameras: Mapping[str, Footage], port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read_input() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), read_input)
    with listen_on_loopback(port) as listening:
        await RtspServer(cameras, sys.stdout).run(listening, stop)


def main(arguments: list[str]) -> int:
    """Serve NAME=FILE arguments until standard input ends."""
    try:
        pairs = [argument.partition("=") for argument in arguments]
        cameras = {name: read_footage(Path(file)) for name, _, file in pairs}
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(cameras, 0))
    except (SourceError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return SourceError.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
