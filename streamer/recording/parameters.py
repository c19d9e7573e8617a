"""Whether a camera has changed what it sends: the parameter sets before its key frames."""

from typing import Final

_LOOK_AT: Final = 4096
_SEQUENCE: Final = {"h264": 7, "hevc": 33}


def sequence_parameters(codec: str, data: memoryview) -> bytes | None:
    """The first sequence parameter set in a key frame that came with start codes, if there is one.

    It holds size, profile and timing. None for other codecs, and where sets come apart from frames.
    """
    wanted = _SEQUENCE.get(codec)
    head = bytes(data[:_LOOK_AT])
    if wanted is None or not head.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
        return None
    for unit in head.split(b"\x00\x00\x01")[1:]:
        kind = unit[:1] and (unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63)
        if kind == wanted:
            return unit.rstrip(b"\x00")
    return None
