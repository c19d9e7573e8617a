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
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_every_state_begins_before_it_ends(happened: list[tuple[str, object]]) -> None:
    """Whatever happens: new first, end once, and never two states of the line at a time."""
    health = HealthLog("gate")
    open_ids: dict[str, str] = {}
    drafts: list[EventDraft] = []
    for index, (what, how) in enumerate(happened):
        utc_s = START_S + index
        if isinstance(how, bool):
            drafts += health.condition(what, how, utc_s)  # type: ignore[arg-type]
        else:
            drafts += health.camera_state(what, how, utc_s)  # type: ignore[arg-type]
    drafts += health.close(START_S + len(happened))
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
