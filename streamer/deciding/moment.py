"""Moments as people write them."""

from datetime import UTC, datetime
from typing import Final

_EXAMPLE: Final = 'such as 2025-11-22T09:00:00Z, "2025-11-22 10:00:00+01:00" or 1763802000.5'


def parse_moment(given: object) -> float:
    """UTC seconds of an ISO 8601 time (without a zone: UTC) or of a number that is them already.

    ValueError says what is expected.
    """
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError(f"expected a time, {_EXAMPLE}, not {given!r:.40}")  # noqa: TRY004
    try:
        seconds = float(given)
    except (ValueError, OverflowError):
        seconds = _iso(str(given))
    if not 0 <= seconds < 253_402_300_800:
        raise ValueError(f"expected a time, {_EXAMPLE}, not {given!r:.40}")
    return seconds


def _iso(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise ValueError(f"expected a time, {_EXAMPLE}, not {text!r:.40}") from exc
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def utc(utc_s: float) -> str:
    """`2025-11-22T09:00:00.200Z`: as `parse_moment` reads it."""
    text = datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def spoken(utc_s: float) -> str:
    """`2025-11-22 09:00:00` UTC, for lists."""
    return f"{datetime.fromtimestamp(utc_s, UTC):%Y-%m-%d %H:%M:%S}"
