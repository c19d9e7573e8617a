"""What the decoder complains about: the only cheap way to know that a picture is damaged.

A decoder that lacks data makes something up and hands it out as a good picture; OpenCV passes on
no flag, and no option makes it refuse. But FFmpeg logs it, in the thread that decodes, which is
the one that reads, since each source decodes in a single thread. So this listens to FFmpeg's log:
it looks at the constant part of each message, keeps two bits a thread, and prints nothing, which
also keeps URLs with passwords off the terminal. A healthy H.264 stream logs about one message a
frame (below FFmpeg's level for printing), which costs a microsecond.

Where OpenCV does not come with a libavutil of its own that can be found, nothing is heard.
"""

import atexit
import ctypes
import functools
import logging
import threading
from pathlib import Path
from typing import Final, NamedTuple

log = logging.getLogger(__name__)

# This very picture was patched up.
_TORN: Final = (
    b"concealing ",
    b"error while decoding MB",
    b"Error at MB",
    b"error y=",
    b"The cu_qp_delta ",
)
# A picture that it builds on was lost or damaged.
_MISSING: Final = (
    b"Frame num gap",
    b"RTP: missed",
    b"reference picture missing",
    b"Missing reference picture",
    b"co located POCs unavailable",
    b"Could not find ref with POC",
)


class Complaints(NamedTuple):
    """What was heard: that this picture is `torn`, that one before it is `missing`."""

    torn: bool
    missing: bool


class _Heard(threading.local):
    torn = False
    missing = False


_heard = _Heard()


def take_complaints() -> Complaints:
    """What FFmpeg has said in this thread since it was last asked."""
    complaints = Complaints(_heard.torn, _heard.missing)
    _heard.torn = _heard.missing = False
    return complaints


@functools.cache
def listen() -> bool:
    """Begin to listen, for this process; whether that can be done."""
    path = _libavutil()
    if path is None:
        log.info("no libavutil of OpenCV's own found: damaged pictures are told by their looks")
        return False
    library = ctypes.CDLL(str(path))
    library.av_log_set_callback(_callback)
    # It must not be called once the interpreter is on its way out.
    atexit.register(library.av_log_set_callback, ctypes.c_void_p(None))
    return True


def _hear(_context: object, _level: int, message: bytes | None, _arguments: object) -> None:
    if message is None:
        return
    if message.startswith(_TORN):
        _heard.torn = True
    elif message.startswith(_MISSING):
        _heard.missing = True


# Kept for good: FFmpeg holds its address.
_callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
    _hear
)


def _libavutil() -> Path | None:
    """The libavutil that OpenCV has loaded, among those that this process holds."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[5] for line in lines if "/libavutil" in line}
    owned = {path for path in paths if "opencv" in path or "cv2" in path}
    found = owned or paths
    return Path(found.pop()) if len(found) == 1 else None
