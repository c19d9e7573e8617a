"""The page of a replay, in a real browser: it decides as the program does, and harms nobody."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from replays import CALIBRATION, START_S, Clip, burst, make_replay
from test_redecide import LEFT, MORNING, Rows, film

from alerts.event import EventDraft
from alerts.judge import JudgeSettings
from detectors.drift_timeline import DriftTimeline
from detectors.normality import Normality
from streamer.cli import main
from streamer.config_judge import JudgeConfig
from streamer.deciding.alert import decided
from streamer.deciding.labels import read_labels
from streamer.deciding.redecide import Settings, redecide
from streamer.deciding.replayed import open_replay
from streamer.replay_report.kept import Kept
from streamer.replay_report.levels import lifts
from streamer.replay_report.report import write_report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium with chromedriver"),
]
HOUR = 3600 * 5
HOSTILE = "</script><script>window.harmed=1</script><img src=x onerror='window.harmed=1'>{{script}}"
NEEDS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium with a profile of its own; downloads go to its `downloads`."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile, downloads = (tmp_path_factory.mktemp(name) for name in ("profile", "downloads"))
    for argument in ("--headless=new", *NEEDS, *QUIET, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def week(learned: Normality, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras with something clear, something slight, something short, and a gap."""
    rng = np.random.default_rng(3)
    gate = np.array(burst(HOUR, (500, 510, 60.0), (5000, 5010, 9.0), (9000, 9002, 60.0)))
    gate += rng.exponential(0.5, HOUR)
    gate[15000:15040] = np.linspace(4, 16, 40)
    folder = make_replay(
        tmp_path_factory.mktemp("report") / "week",
        {
            "gate": [
                Clip("monday.mp4", 0, gate.tolist()),
                Clip(HOSTILE, 4000, burst(500, (100, 130, 30.0)), text=HOSTILE),
            ],
            "yard": [Clip("yard.mp4", 0, burst(HOUR, (700, 720, 25.0)))],
        },
        learned,
    )
    write_report(folder)
    return folder


def show(browser: Any, page: Path, width: int = 1280) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


def slide(browser: Any, name: str, value: float) -> None:
    """Move a slider as a hand does."""
    browser.execute_script(
        """const input = document.getElementById(`s-${arguments[0]}`);
        input.value = page.camera.stops[arguments[0]].indexOf(arguments[1]);
        if (Number(input.value) < 0) throw new Error("no such stop");
        input.dispatchEvent(new Event("input"));""",
        name,
        value,
    )


def shown(browser: Any) -> list[list[list[float]]]:
    """Events of each source of the camera in view: start, announced, end, score, threshold."""
    return browser.execute_script(
        """return page.camera.sources.map((source) => source.now.map(
        (one) => [one.start, one.raised, one.end, one.score, one.threshold]));"""
    )


def expected(folder: Path, camera: str, settings: Settings) -> list[list[list[float]]]:
    one = open_replay(folder).cameras[camera]
    return [
        [
            [a.start_utc_s, a.raised_utc_s, a.end_utc_s, a.score, a.threshold]
            for a in decided(one, source, settings)
        ]
        for source in one.sources
    ]


def same(found: list[Any], wanted: list[Any]) -> bool:
    flat = [np.array([x for events in one for e in events for x in e]) for one in (found, wanted)]
    return list(map(len, found)) == list(map(len, wanted)) and np.allclose(*flat, rtol=0, atol=1e-5)


def events_of(drafts: list[EventDraft]) -> list[list[float]]:
    raised = {draft.id: draft for draft in drafts if draft.type == "new"}
    return [
        [one.start_time, raised[one.id].time, one.end_time, one.score, raised[one.id].threshold]
        for one in drafts
        if one.type == "end"
    ]


def random_case(seed: int) -> tuple[dict[str, Any], list[list[float]]]:
    """What the page is given of made-up footage and settings, and the events that are to come."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 7, 400, 1500, 1500, 3000]))
    trace = Rows(film(seed, n, float(rng.choice([0.3, 1.0])), bool(rng.integers(2))))
    judge = JudgeSettings(
        min_length_s=float(rng.choice([0.0, 0.6, 2.0])),
        merge_gap_s=float(rng.choice([0.0, 0.4, 3.0, 20.0])),
        cooldown_s=float(rng.choice([0.0, 10.0, 120.0])),
        leave_ratio=float(rng.choice([0.4, 0.7, 1.0])),
        zones=((), (), (LEFT,))[int(rng.integers(3))],
        schedule=(None, None, MORNING)[int(rng.integers(3))],
    )
    rate = float(rng.choice([0.2, 1.0, 24.0, 500.0]))
    footage = trace.footage
    asked = CALIBRATION.threshold(rate).value
    kept = Kept.of(footage, 0.1).wanted(judge, lambda row: trace.region(footage.trace_row(row)))
    kept = kept.above(asked * 0.4)
    timeline = DriftTimeline.of(footage.watched, CALIBRATION, rate)
    found = lifts(footage, timeline, 0.4, None) or []
    given = {
        "track": {
            "row": kept.row.tolist(),
            "utc_s": kept.utc_s.tolist(),
            "score": kept.score.tolist(),
            "closings": [list(one) for one in footage.closings],
        },
        "levels": {
            "row": [0, *(row for row, _, _ in found)],
            "level": [asked, *(level for _, level, _ in found)],
        },
        "settings": {
            name: getattr(judge, name)
            for name in ("leave_ratio", "min_length_s", "merge_gap_s", "cooldown_s")
        },
    }
    drafts = redecide(footage, CALIBRATION, Settings(rate, judge), facts=trace)
    return given, events_of(drafts)


def test_the_page_decides_as_the_judge_does(browser: Any, week: Path) -> None:
    """Whatever scores, gaps, darkness, other scenes, zones and settings: the same events."""
    show(browser, week / "report.html")
    cases = [random_case(seed) for seed in range(60)]
    found = browser.execute_script(
        """return arguments[0].map((one) => decide(one.track, one.levels, one.settings).map(
        (event) => [event.start, event.raised, event.end, event.score, event.threshold]));""",
        [given for given, _ in cases],
    )
    wrong = [k for k, (_, wanted) in enumerate(cases) if not same([found[k]], [wanted])]
    assert wrong == []
    assert sum(len(wanted) for _, wanted in cases) > 100


def test_sliders_decide_anew(browser: Any, week: Path) -> None:
    """Each gives what `sorawatch tune` would say of these settings, and says what changed."""
    show(browser, week / "report.html")
    settings = open_replay(week).cameras["gate"].today
    assert same(shown(browser), expected(week, "gate", settings))
    counts = set()
    for name, value in (
        ("alerts_per_day", 100.0), ("leave_ratio", 0.4), ("min_length_s", 0.2),
        ("cooldown_s", 1800.0), ("merge_gap_s", 60.0), ("alerts_per_day", 0.05),
    ):  # fmt: skip
        slide(browser, name, value)
        if name == "alerts_per_day":
            settings = replace(settings, alerts_per_day=value)
        else:
            settings = replace(settings, judge=replace(settings.judge, **{name: value}))
        now = shown(browser)
        assert same(now, expected(week, "gate", settings)), (name, value)
        counts.add(sum(map(len, now)))
    assert len(counts) > 2, "they hardly do anything"
    outcome = browser.find_element("id", "outcome").text
    assert re.fullmatch(r"\d+ alerts?: \d+ gained, \d+ lost against the \d+ replayed\.", outcome)
    took_ms = "[1, 2, 3, 4, 5].map(() => (page.camera.decideAll(), page.camera.took_ms))"
    assert min(browser.execute_script(f"return {took_ms}")) < 100
    written = yaml.safe_load(browser.execute_script("return page.yaml()"))["cameras"]["gate"]
    assert written["alerts_per_day"] == 0.05
    assert JudgeConfig(**written["judge"]).cooldown_s == 1800
    browser.find_element("id", "spread").click()
    for camera in yaml.safe_load(browser.execute_script("return page.yaml()"))["cameras"].values():
        assert camera == written
    assert "0.05 alerts a day (between" in browser.find_element("id", "promise").text


def test_labels_are_what_tune_reads(browser: Any, week: Path, tmp_path: Path) -> None:
    """An alert marked as real, and a stretch that was dragged over, come back as labels."""
    show(browser, week / "report.html")
    browser.execute_script("document.querySelector('.card .marks button').click()")
    browser.execute_script("document.getElementById('drag').click()")
    browser.execute_script("page.timeline.showSource(page.camera.sources[0]);")
    canvas = browser.find_element("id", "timeline")
    chain = webdriver.ActionChains(browser, duration=50)
    chain.move_to_element_with_offset(canvas, 60, 0).click_and_hold().move_by_offset(80, 0)
    chain.release().perform()
    text = browser.execute_script("return page.labelsFile()")
    browser.find_element("id", "download").click()
    path = browser.downloads / "labels.jsonl"
    WebDriverWait(browser, 10).until(lambda _: path.exists())
    assert path.read_text() == text
    labels = read_labels(path, open_replay(week))
    events = labels.events["gate", 0]
    alert = shown(browser)[0][0]
    assert len(events) == 2
    assert events[0] == pytest.approx((alert[0], alert[2]), abs=2e-3)
    assert events[1][0] > START_S + 1800
    page = tmp_path / "tuned.html"
    tune = ["tune", str(week), "--alerts-per-day", "3", "--labels", str(path)]
    assert main([*tune, "--report", str(page)]) == 0
    show(browser, page)
    assert [len(events) for events in labels.events.values()] == [2, 0, 0]
    marked = browser.execute_script("return page.camera.sources.map((one) => one.labels.length)")
    assert marked == [2, 0]
    chosen = browser.execute_script("return page.camera.settings")
    judge = replace(JudgeSettings(), **{k: v for k, v in chosen.items() if k != "alerts_per_day"})
    assert same(shown(browser), expected(week, "gate", Settings(chosen["alerts_per_day"], judge)))


def test_names_from_files_do_no_harm(browser: Any, week: Path) -> None:
    """Sources and texts may be called anything; the console stays silent on every page."""
    show(browser, week / "report.html")
    for camera in browser.find_elements("css selector", "#cameras button")[::-1]:
        camera.click()
    assert HOSTILE[:20] in browser.find_element("id", "alerts").text
    assert browser.execute_script("return window.harmed") is None
    assert browser.get_log("browser") == []
    policy = browser.find_element("css selector", "meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", (week / "report.html").read_text())


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_has_to_be_scrolled_sideways(browser: Any, week: Path, width: int) -> None:
    """On a phone and on a desk; every control has a name, and the keyboard moves the timeline."""
    show(browser, week / "report.html", width)
    slide(browser, "alerts_per_day", 100.0)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    unnamed = browser.execute_script(
        """return [...document.querySelectorAll("button, input, select")].filter((one) => !(
        one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length)
        ).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    browser.find_element("id", "timeline").send_keys("++")
    from_s, to_s = browser.execute_script("return page.timeline.view")
    assert to_s - from_s < browser.execute_script("return page.timeline.total") / 2


def test_an_alert_moves_the_timeline_there(browser: Any, week: Path) -> None:
    """A click on its picture shows the minute that it is in."""
    show(browser, week / "report.html")
    browser.execute_script("document.querySelectorAll('.card .picture')[1].click()")
    event = [event for source in shown(browser) for event in source][1]
    _, start, end = browser.execute_script(
        "const [one, from, to] = page.timeline.inView(); return [one.start, from, to];"
    )
    assert start <= event[0] <= event[2] <= end
    assert end - start < 120


def test_the_same_replay_gives_the_same_page(week: Path, tmp_path: Path) -> None:
    """And it is small, and pictures that are none are left out."""
    for name in ("a.html", "b.html"):
        write_report(week, tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.html").stat().st_size < 2_000_000
    assert json.loads(json.dumps(HOSTILE)) not in (tmp_path / "a.html").read_text()


def test_too_much_to_decide_on_is_said(
    browser: Any, week: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer alerts a day are offered first; where even today's rows are too many, none moves."""
    show(browser, week / "report.html")
    rates = browser.execute_script("return page.camera.rates.length")
    monkeypatch.setattr("streamer.replay_report.report._ROWS", 600)
    show(browser, write_report(week, tmp_path / "fewer.html"))
    assert 0 < browser.execute_script("return page.camera.rates.length") < rates
    today = open_replay(week).cameras["gate"].today
    assert same(shown(browser), expected(week, "gate", today))
    monkeypatch.setattr("streamer.replay_report.report._ROWS", 10)
    show(browser, write_report(week, tmp_path / "none.html"))
    assert "too many high scores" in browser.find_element("id", "notes").text
    assert not browser.find_element("id", "s-cooldown_s").is_enabled()
    assert sum(map(len, shown(browser))) == sum(map(len, expected(week, "gate", today)))
    assert browser.get_log("browser") == []
