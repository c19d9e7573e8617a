"""Opens a source with PyAV for its packets; nothing is decoded.

FFmpeg looks into the first packets with a decoder to learn what the stream is; after that, none
runs. Each open and each read has a timeout, so that no camera can hold its thread for good.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av

from sorawatch import ConfigError, SourceError
from streamer.capture.diagnose import diagnose
from streamer.capture.settings import Transport
from streamer.capture.source import Source, SourceKind, mask_credentials
from streamer.recording.measure import CONTAINER_OPTIONS as FILE_OPTIONS

RECORDABLE: Final = ("h264", "hevc", "mjpeg", "mpeg4", "av1")
"""FFmpeg's names of what is put into MP4 as it comes."""

_ENDED_BY_NEXT: Final = ("h264", "hevc", "mpeg4")
_DIAGNOSIS_S: Final = 3.0
_HTTP_OPTIONS: Final = {"protocol_whitelist": "http,https,tcp,tls,crypto,data"}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The transport of RTSP, and the longest waits in seconds."""

    transport: Transport = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 3.5


@dataclass(frozen=True, slots=True)
class StreamPacket:
    """One encoded frame; `dts_ns`, `pts_ns`: the stream's own times, None where it has none."""

    packet: Any
    key: bool
    dts_ns: int | None
    pts_ns: int | None
    duration_ns: int


class PacketStream:
    """The video of an open source; for one thread alone, `close` included.

    `template`: the stream for a writer to copy the parameters of. `reads_ahead`: its packets can
    be had faster than they happened. `one_late`: a packet is had when the one after it begins.
    `interval_ns`: between frames as declared, if at all.
    """

    def __init__(self, source: Source, container: Any) -> None:
        """Take over an open container. Raises SourceError for what cannot be recorded."""
        self._source = source
        self._container = container
        videos = container.streams.video
        if not videos:
            raise SourceError(f"{source.masked}: there is no video in it", "codec")
        self.template: Any = videos[0]
        context = self.template.codec_context
        self.codec: str = context.name
        self.size: tuple[int, int] = (context.width, context.height)
        if self.codec not in RECORDABLE:
            raise SourceError(
                f"{source.masked}: its video is {self.codec}, which cannot be recorded without "
                "encoding it again; choose H.264, H.265 or MJPEG in the camera",
                "codec",
            )
        over_http = source.kind is SourceKind.HTTP
        # A stream of JPEGs has no times, but FFmpeg makes some up, for 25 frames a second.
        self._has_times = not (over_http and self.codec == "mjpeg")
        recorded = over_http and (container.duration is not None or ".m3u8" in source.url)
        self.reads_ahead = source.kind is SourceKind.FILE or (recorded and self._has_times)
        # FFmpeg knows that such a frame is whole only when the next one begins.
        self.one_late = source.kind is SourceKind.RTSP and self.codec in _ENDED_BY_NEXT
        rate = self.template.average_rate
        self.interval_ns = round(1e9 / rate) if rate and 0.5 <= rate <= 120 else None

    def packets(self) -> Iterator[StreamPacket]:
        """Every packet of the video, to its end. Raises SourceError where reading fails."""
        try:
            for packet in self._container.demux(self.template):
                if packet.size:
                    yield self._timed(packet)
        except av.error.ExitError as exc:
            raise SourceError(f"{self._source.masked}: no picture came in time", "timeout") from exc
        except av.error.EOFError:
            return
        except (av.FFmpegError, OSError) as exc:
            said = mask_credentials(str(exc).replace(self._source.url, self._source.masked))
            raise SourceError(f"{self._source.masked}: {said}", "error") from exc

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def _timed(self, packet: Any) -> StreamPacket:
        dts_ns = pts_ns = None
        tick_ns = 1_000_000_000 * packet.time_base
        if self._has_times:
            dts = packet.dts if packet.dts is not None else packet.pts
            dts_ns = None if dts is None else round(dts * tick_ns)
            pts_ns = dts_ns if packet.pts is None else round(packet.pts * tick_ns)
        duration_ns = round((packet.duration or 0) * tick_ns) if self._has_times else 0
        return StreamPacket(packet, packet.is_keyframe, dts_ns, pts_ns, duration_ns)


def check_source(source: Source) -> None:
    """ConfigError for a kind of source that gives no encoded video."""
    if source.kind in (SourceKind.FOLDER, SourceKind.DEVICE):
        raise ConfigError(
            f"{source.masked}: a {source.kind} gives pictures, not encoded video, and cannot be "
            "recorded without encoding; give an RTSP or HTTP URL, or a video file"
        )


def open_stream(source: Source, options: StreamOptions) -> PacketStream:
    """Open a source; raises SourceError that says why it cannot be, within the timeouts.

    A few seconds more may go by to find out what went wrong.
    """
    check_source(source)
    if source.kind is SourceKind.FILE and not Path(source.url).exists():
        raise SourceError(f"{source.masked} does not exist", "not_found")
    try:
        container = av.open(
            source.url,
            container_options=_options(source, options),
            timeout=(options.open_timeout_s, options.read_timeout_s),
        )
    except (av.FFmpegError, OSError, ValueError) as exc:
        timed_out = isinstance(exc, av.error.ExitError)
        raise _why(source, options, timed_out, str(exc)) from None  # it holds the password
    try:
        return PacketStream(source, container)
    except BaseException:
        container.close()
        raise


def _why(source: Source, options: StreamOptions, timed_out: bool, said: str) -> SourceError:
    if source.kind is SourceKind.FILE:
        why = said.replace(source.url, "").strip(" :'\"") or "unreadable"
        return SourceError(f"{source.masked} holds no video that can be read: {why}", "codec")
    return diagnose(
        source,
        timed_out=timed_out,
        transport=options.transport,
        deadline_s=min(_DIAGNOSIS_S, options.open_timeout_s),
    )


def _options(source: Source, options: StreamOptions) -> dict[str, str]:
    if source.kind is SourceKind.RTSP:
        return {
            "rtsp_transport": options.transport,
            "allowed_media_types": "video",  # sound is not recorded, and may delay the open
            "fpsprobesize": "0",
        }
    return _HTTP_OPTIONS if source.kind is SourceKind.HTTP else FILE_OPTIONS
