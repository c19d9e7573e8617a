"""Events in words, one line each."""

from datetime import datetime, tzinfo

from alerts.event import Event, Region


def format_event(event: Event, timezone: tzinfo | None = None) -> str:
    """One line for people; times in `timezone`, this machine's when None.

    "12:03:04 gate  ALERT new  7.3 (threshold 5.1, about 1 in 25 days)  at left, middle: faster
    than anything seen here"
    """
    moment = event.time if event.time is not None else event.end_time or event.start_time
    clock = datetime.fromtimestamp(moment, timezone).strftime("%H:%M:%S")
    label = (event.state or event.severity).upper()
    facts = [f"{clock} {event.camera}  {label} {event.type}"]
    if event.type == "end" and event.end_time is not None:
        ended = "" if event.ended_by in (None, "over") else f", {_ended(event.ended_by)}"
        facts.append(f"after {format_duration(event.end_time - event.start_time)}{ended}")
    if event.score is not None:
        facts.append(_score(event))
    place = f"at {format_place(event.region)}: " if event.region else ""
    return "  ".join(facts) + (f"  {place}" if place else ": ") + event.explanation.text


def format_place(region: Region) -> str:
    """Where the middle of a region lies: "left, middle"."""
    across = ("left", "centre", "right")[_third(region.x + region.width / 2)]
    down = ("top", "middle", "bottom")[_third(region.y + region.height / 2)]
    return f"{across}, {down}"


def format_rate(per_day: float) -> str:
    """How often, in words: "about 1 in 25 days", "about 3 a day"."""
    if per_day >= 48:
        return f"about {per_day / 24:.0f} an hour"
    if per_day >= 0.75:
        return f"about {per_day:.0f} a day"
    if per_day * 365 >= 1:
        return f"about 1 in {1 / per_day:.0f} days"
    return "less than 1 in a year"


def format_duration(seconds: float) -> str:
    """A length of time, short: "0.8 s", "5 s", "3 min", "2 h", "12 days"."""
    for unit_s, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= unit_s:
            whole = {"days": 86_400, "h": 3_600, "min": 60}[unit]
            return f"{seconds / whole:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _score(event: Event) -> str:
    facts = []
    if event.threshold is not None:
        facts.append(f"threshold {event.threshold:.1f}")
    if event.expected_per_day is not None:
        facts.append(format_rate(event.expected_per_day))
    return f"{event.score:.1f}" + (f" ({', '.join(facts)})" if facts else "")


def _ended(by: str) -> str:
    return {
        "camera_lost": "the camera was lost",
        "stopped": "sorawatch stopped",
        "interrupted": "sorawatch was interrupted",
    }.get(by, by)


def _third(share: float) -> int:
    return min(int(share * 3), 2)
