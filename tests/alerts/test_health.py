"""Camera health as events."""

from alert_makers import START_S
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.event import EventDraft
from alerts.health import HealthLog


def told(drafts: list[EventDraft]) -> list[tuple[str, str | None, str | None]]:
    return [(draft.type, draft.state, draft.ended_by) for draft in drafts]


def test_a_camera_that_goes_and_comes_back() -> None:
    """Each state begins where the one before ends; retries in between are not told."""
    health = HealthLog("gate")
    first = health.camera_state("connecting", None, START_S)
    first += health.camera_state("online", None, START_S + 1)
    gone = health.camera_state("stalled", "timeout", START_S + 5)
    gone += health.camera_state("offline", "refused", START_S + 8)
    gone += health.camera_state("connecting", None, START_S + 9)
    gone += health.camera_state("offline", "refused", START_S + 10)
    gone += health.camera_state("offline", "auth", START_S + 12)
    back = health.camera_state("online", None, START_S + 20)
    assert told(first) == [("new", "online", None)]
    assert told(gone) == [
        ("end", "online", "over"),
        ("new", "stalled", None),
        ("end", "stalled", "over"),
        ("new", "offline", None),
        ("update", "offline", None),
    ]
    assert gone[-1].explanation.text == "the camera refuses user name or password"
    assert gone[-1].severity == "warning"
    assert told(back) == [("end", "offline", "over"), ("new", "online", None)]
    assert (back[0].start_time, back[0].end_time) == (START_S + 8, START_S + 20)


def test_conditions_overlap_and_end_with_the_picture() -> None:
    """Frozen lasts beside online; when the camera goes it ends too, and can begin anew."""
    health = HealthLog("gate")
    health.camera_state("online", None, START_S)
    health.condition("learning", True, START_S)
    assert told(health.condition("frozen", True, START_S + 1)) == [("new", "frozen", None)]
    assert health.condition("frozen", True, START_S + 2) == []
    assert health.active == ("online", "learning", "frozen")
    lost = health.camera_state("offline", "timeout", START_S + 3)
    assert told(lost) == [
        ("end", "online", "over"),
        ("end", "frozen", "camera_lost"),
        ("new", "offline", None),
    ]
    assert told(health.condition("frozen", False, START_S + 4)) == []
    assert health.active == ("learning", "offline")
    assert told(health.close(START_S + 5)) == [
        ("end", "learning", "stopped"),
        ("end", "offline", "stopped"),
    ]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["connecting", "online", "stalled", "offline"]),
            st.sampled_from([None, "auth", "timeout"]),
        ),
        st.tuples(st.sampled_from(["frozen", "dark", "tampered", "learning"]), st.booleans()),
        st.tuples(st.just("tick"), st.sampled_from([1.0, 40.0, 700.0, -30.0])),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_every_state_begins_before_it_ends(happened: list[tuple[str, object]]) -> None:
    """Whatever happens: new first, end once, and never two states of the line at a time.

    Once nothing has changed for long, what was told is what is.
    """
    health = HealthLog("gate")
    open_ids: dict[str, str] = {}
    drafts: list[EventDraft] = []
    utc_s = START_S
    for what, how in happened:
        utc_s += 1.0
        if isinstance(how, float):
            utc_s += how
            drafts += health.tick(utc_s)
        elif isinstance(how, bool):
            drafts += health.condition(what, how, utc_s)  # type: ignore[arg-type]
        else:
            drafts += health.camera_state(what, how, utc_s)  # type: ignore[arg-type]
    drafts += health.tick(utc_s + 60)
    told_open: set[str | None] = set()
    for draft in drafts:
        told_open ^= {draft.state} if draft.type == "end" else set()
        told_open |= {draft.state} if draft.type == "new" else set()
    assert told_open == set(health.active)
    drafts += health.close(utc_s + 61)
    for draft in drafts:
        assert draft.state is not None
        if draft.type == "new":
            assert draft.state not in open_ids
            assert draft.id not in open_ids.values()
            open_ids[draft.state] = draft.id
            assert len({"online", "stalled", "offline"} & open_ids.keys()) <= 1
        elif draft.type == "update":
            assert open_ids[draft.state] == draft.id
        else:
            assert open_ids.pop(draft.state) == draft.id
    assert not open_ids


def flap(health: HealthLog, start_s: float, count: int, every_s: float) -> list[EventDraft]:
    """Lose the camera so many times, for half of the time each, with a tick every second."""
    drafts: list[EventDraft] = []
    for number in range(count):
        at_s = start_s + number * every_s
        drafts += health.camera_state("stalled", "timeout", at_s)
        drafts += health.camera_state("offline", "timeout", at_s + 2)
        drafts += health.tick(at_s + 5)
        drafts += health.camera_state("online", None, at_s + every_s / 2)
        drafts += health.tick(at_s + every_s - 1)
    return drafts


def test_a_camera_that_flaps_is_told_once() -> None:
    """One loss is told as ever; the next makes it unsteady, until a minute was quiet."""
    health = HealthLog("gate")
    first = health.camera_state("online", None, START_S)
    drafts = flap(health, START_S + 100, 30, 20.0)
    assert len(drafts) == 6 + 1
    assert told(drafts)[-1] == ("new", "unsteady", None)
    assert drafts[-1].explanation.text == "the camera comes and goes"
    assert drafts[-1].reason == "timeout"
    assert health.unsteady
    steady = health.tick(START_S + 100 + 29 * 20 + 10 + 60)
    assert told(steady) == [("end", "unsteady", "over")]
    assert told(health.close(START_S + 3000)) == [("end", "online", "stopped")]
    assert first[0].id != drafts[-2].id, "the online that is open is the second"


def test_a_flapping_camera_that_stays_away_is_told_a_minute_later() -> None:
    """Unsteadiness hides nothing that lasts: it is told with the time when it began."""
    health = HealthLog("gate")
    health.camera_state("online", None, START_S)
    flap(health, START_S + 100, 5, 20.0)
    assert health.camera_state("offline", "refused", START_S + 200) == []
    assert health.tick(START_S + 259) == []
    right = health.tick(START_S + 260)
    assert told(right) == [
        ("end", "online", "over"),
        ("new", "offline", None),
        ("end", "unsteady", "over"),
    ]
    assert (right[0].end_time, right[1].start_time) == (START_S + 200, START_S + 200)
    # After ten quiet minutes a loss is told at once again.
    back = health.camera_state("online", None, START_S + 1000)
    assert told(back) == [("end", "offline", "over"), ("new", "online", None)]
    assert health.camera_state("offline", None, START_S + 1100)[-1].state == "offline"


def test_a_light_that_goes_on_and_off_is_told_once() -> None:
    """Two dark spells are told; a third within ten minutes is that it goes dark again and again."""
    health = HealthLog("gate")
    health.camera_state("online", None, START_S)
    drafts: list[EventDraft] = []
    for second in range(600):
        drafts += health.condition("dark", second % 20 >= 10, START_S + second)
        drafts += health.tick(START_S + second)
    assert [draft.type for draft in drafts if draft.state == "dark"] == ["new", "end"] * 2
    assert told(drafts)[-1] == ("new", "unsteady", None)
    assert len(drafts) == 5
    assert drafts[-1].explanation.text == "the picture goes black again and again"
