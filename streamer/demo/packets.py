"""H.264 files as RTP packets: what the demo's cameras send (RFC 6184, RFC 2326 section 10.12)."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext

from sorawatch import SourceError

CLOCK_HZ = 90_000
_PAYLOAD_TYPE = 96
_LARGEST = 1400  # bytes of payload in one packet: fits an Ethernet frame
_START_CODE = b"\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Footage:
    """A file that is ready to be sent.

    `frames`: for each its time (seconds from the first) and its NAL units. `sps`, `pps`: the
    parameter sets. `fps`: declared frames a second.
    """

    frames: tuple[tuple[float, tuple[bytes, ...]], ...]
    sps: bytes
    pps: bytes
    fps: float

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last."""
        return self.frames[-1][0] + 1.0 / self.fps

    def sdp(self) -> str:
        """The session description that an RTSP client asks for."""
        sets = ",".join(base64.b64encode(one).decode() for one in (self.sps, self.pps))
        return "\r\n".join(
            (
                "v=0",
                "o=- 0 0 IN IP4 127.0.0.1",
                "s=sorawatch demo",
                "c=IN IP4 0.0.0.0",
                "t=0 0",
                "a=control:*",
                f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}",
                f"a=rtpmap:{_PAYLOAD_TYPE} H264/{CLOCK_HZ}",
                f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1;"
                f"profile-level-id={self.sps[1:4].hex()};sprop-parameter-sets={sets}",
                f"a=framerate:{self.fps:g}",
                "a=control:track1",
                "",
            )
        )


def read_footage(path: Path) -> Footage:
    """Read an H.264 file whole. Raises SourceError when it is none."""
    frames: list[tuple[float, tuple[bytes, ...]]] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.codec_context.name != "h264":
                raise SourceError(f"{path} is {stream.codec_context.name}, not H.264", "codec")
            fps = float(stream.average_rate or 25)
            to_annexb = BitStreamFilterContext("h264_mp4toannexb", stream)
            first: float | None = None
            for packet in container.demux(stream):
                if packet.dts is None:
                    continue
                time_base = float(packet.time_base)
                for part in to_annexb.filter(packet):
                    assert part.pts is not None  # noqa: S101 - it has a dts, and no B frames
                    at_s = part.pts * time_base
                    first = at_s if first is None else first
                    frames.append((at_s - first, split_nals(bytes(part))))
    except (av.FFmpegError, IndexError, OSError) as exc:
        raise SourceError(f"{path} cannot be read: {exc}", "codec") from exc
    units = [nal for _, nals in frames for nal in nals]
    sps = next((nal for nal in units if nal[0] & 31 == 7), None)
    pps = next((nal for nal in units if nal[0] & 31 == 8), None)
    if sps is None or pps is None:
        raise SourceError(f"{path} holds no H.264 parameter sets", "codec")
    return Footage(tuple(frames), sps, pps, fps)


def split_nals(stream: bytes) -> tuple[bytes, ...]:
    """The NAL units of an Annex B byte stream."""
    found = []
    for piece in stream.split(_START_CODE)[1:]:
        # The zero byte before a four-byte start code belongs to no unit.
        unit = piece.rstrip(b"\x00")
        if unit:
            found.append(unit)
    return tuple(found)


class Packetizer:
    """Numbers the packets of one client's stream."""

    def __init__(self, ssrc: int, sequence: int, start: int) -> None:
        """`start`: RTP time stamp of the first frame."""
        self._ssrc = ssrc
        self.sequence = sequence & 0xFFFF
        self.start = start & 0xFFFFFFFF

    def interleaved(self, at_s: float, nals: tuple[bytes, ...], channel: int) -> bytes:
        """The packets of one frame as they go over the RTSP connection itself."""
        stamp = (self.start + round(at_s * CLOCK_HZ)) & 0xFFFFFFFF
        payloads = [payload for nal in nals for payload in _payloads(nal)]
        out = []
        for number, payload in enumerate(payloads):
            last = number == len(payloads) - 1
            header = struct.pack(
                "!BBHII",
                0x80,
                _PAYLOAD_TYPE | (0x80 if last else 0),
                self.sequence,
                stamp,
                self._ssrc,
            )
            self.sequence = (self.sequence + 1) & 0xFFFF
            size = len(header) + len(payload)
            out.append(struct.pack("!cBH", b"$", channel, size) + header + payload)
        return b"".join(out)


def _payloads(nal: bytes) -> list[bytes]:
    if len(nal) <= _LARGEST:
        return [nal]
    indicator, kind = (nal[0] & 0xE0) | 28, nal[0] & 31  # FU-A
    pieces = [nal[at : at + _LARGEST - 2] for at in range(1, len(nal), _LARGEST - 2)]
    out = []
    for number, piece in enumerate(pieces):
        flags = (0x80 if number == 0 else 0) | (0x40 if number == len(pieces) - 1 else 0)
        out.append(bytes((indicator, flags | kind)) + piece)
    return out
