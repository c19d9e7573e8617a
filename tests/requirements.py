"""What some tests need; in CI, where SORAWATCH_REQUIRE names it, its absence is a failure."""

import os

# A skipped test needs what its marker says, or what its reason speaks of.
WORDS = {
    "rtsp": ("rtsp", "gst", "gstreamer"),
    "footage": ("footage",),
    "browser": ("browser", "chromium"),
    "train": ("torch", "onnxscript", "train"),
}


def required() -> frozenset[str]:
    """What must be there: names of `WORDS`."""
    return frozenset(os.environ.get("SORAWATCH_REQUIRE", "").split(",")) & WORDS.keys()


def missing(reason: str, markers: set[str]) -> str | None:
    """The requirement for want of which a test was skipped; None when that is allowed."""
    for name in sorted(required()):
        if name in markers or any(word in reason.lower() for word in WORDS[name]):
            return name
    return None
