"""Configuration: what a file means, and what a person is told who got it wrong."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import configs
from sorawatch import ConfigError
from streamer.config import Config, fingerprint, resolve
from streamer.config_judge import JudgeConfig
from streamer.config_load import MAX_BYTES, load_config, parse_config
from streamer.judging import judge_settings

ONE = "cameras: {gate: {source: rtsp://10.0.0.20/1}}\n"


def problems(text: str, **env: str) -> list[str]:
    """The lines of the error that `text` gives."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="cameras.yaml", env=env)
    return str(caught.value).splitlines()


def read(text: str, folder: Path | None = None, **env: str) -> Config:
    return parse_config(text, name="cameras.yaml", folder=folder, env=env)


def test_a_camera_overrides_the_defaults_key_by_key() -> None:
    """What a camera says holds for it alone; what it does not say comes from the top level."""
    cameras = resolve(
        read("""
            capture: {transport: udp, stall_after_s: 4}
            judge: {cooldown_s: 30}
            cameras:
              gate: {source: 0, capture: {transport: tcp}, judge: {min_length_s: 1}}
              yard: {source: 1}
        """)
    )
    gate, yard = cameras["gate"], cameras["yard"]
    assert (gate.capture.transport, gate.capture.stall_after_s) == ("tcp", 4)
    assert (gate.judge.min_length_s, gate.judge.cooldown_s) == (1, 30)
    assert (yard.capture.transport, yard.judge.min_length_s) == ("udp", 0.6)


def test_reload_sees_only_real_differences() -> None:
    """A camera that says a default out loud is the same camera; a changed default changes it."""
    plain = resolve(read(ONE))
    assert resolve(read(ONE + "judge:\ncapture: {transport: tcp}\n")) == plain
    changed = resolve(read(ONE + "capture: {transport: udp}\n"))
    assert changed["gate"] != plain["gate"]
    assert fingerprint(changed["gate"]) != fingerprint(plain["gate"])
    assert resolve(read(ONE + "metrics: {listen: null}\n")) == plain


ZONED = """
cameras:
  gate:
    source: 0
    judge:
      zones:
        - {name: road, exclude: [[0, 0], [1, 0], [1, 0.3]], by: overlap}
        - name: yard
          include: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]
      schedule: {time_zone: Europe/Berlin, alert: ["mon-fri 18:00-06:00", "sat,sun 00:00-24:00"]}
"""


def test_zones_and_a_schedule_reach_the_judge() -> None:
    """Where and when alerts are wanted is written in the configuration, and outlives a dump."""
    judge = resolve(read(ZONED))["gate"].judge
    road, yard = judge_settings(judge).zones
    assert (road.kind, road.by, yard.kind, yard.by) == ("exclude", "overlap", "include", "middle")
    schedule = judge_settings(judge).schedule
    assert schedule is not None
    assert not schedule.holds(1_763_730_000.0)  # Friday 14:00 in Berlin
    assert schedule.holds(1_763_748_000.0)  # 19:00
    again = JudgeConfig.model_validate_json(judge.model_dump_json())
    assert judge_settings(again) == judge_settings(judge)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[1, 0.3]]", "[1, 30]]", "corners are shares of the picture"),
        ("[[0, 0], [1, 0], [1, 0.3]]", "[[0, 0], [1, 0]]", "three corners or more"),
        ("name: yard", "name: yard\n          exclude: [[0, 0], [1, 0], [1, 1]]", "either include"),
        ("Europe/Berlin", "Europe/Nowhere", "'Europe/Nowhere' is no time zone"),
        ("mon-fri 18:00", "mon-fry 18:00", "'mon-fry' is no day"),
        ('["mon-fri 18:00-06:00", "sat,sun 00:00-24:00"]', "all 00:00-24:00", "expected a list"),
        ("Europe/Berlin", "../Berlin", "is no time zone"),
        ("by: overlap", "by: corner", "expected middle or overlap"),
    ],
)
def test_zones_and_schedules_that_cannot_be_are_told(before: str, after: str, says: str) -> None:
    """One line names file, line and key."""
    (line,) = problems(ZONED.replace(before, after))
    assert says in line
    assert "cameras.gate.judge" in line


def test_the_container_recipe_is_a_configuration() -> None:
    """What the container file tells people to write is accepted."""
    with configs.path("deploy/Containerfile") as path:
        lines = [line[4:] for line in path.read_text().splitlines() if line.startswith("#   ")]
    said = "\n".join(lines[next(i for i, line in enumerate(lines) if line == "alerts:") :])
    alerts = read(ONE + said, METRICS_TOKEN="x" * 32).alerts
    assert alerts.publish.startswith("tcp://0.0.0.0:")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """Moving a configuration with its files keeps it working, wherever it is started from."""
    config = read("cameras: {gate: {source: a.mp4, normal: n/gate.normal}}", folder=tmp_path)
    assert config.cameras["gate"].source.url == str(tmp_path / "a.mp4")
    assert config.cameras["gate"].normal == tmp_path / "n/gate.normal"
    assert config.alerts.outbox == tmp_path / "var/alerts.db"
    learned = read("cameras: {gate: {source: /a.mp4}}", folder=tmp_path)
    assert resolve(learned)["gate"].normal == tmp_path / "var/gate.normal"


def test_keys_open_addresses_to_other_machines(tmp_path: Path) -> None:
    """With CURVE keys alerts may be published to all the world; their paths are anchored too."""
    text = ONE + (
        "alerts: {publish: 'tcp://0.0.0.0:5556', curve: "
        "{secret_key_file: keys/us.key_secret, allowed_keys_file: /etc/allowed}}"
    )
    curve = read(text, folder=tmp_path).alerts.curve
    assert curve is not None
    assert curve.secret_key_file == tmp_path / "keys/us.key_secret"
    assert curve.allowed_keys_file == Path("/etc/allowed")


def test_alerts_in_clear_beyond_this_machine_are_asked_for() -> None:
    """Without keys only if the operator says so, in a key that says what it does."""
    alerts = ONE + "alerts: {publish: 'tcp://0.0.0.0:5556'%s}\n"
    (line,) = problems(alerts % "")
    assert "sorawatch keys" in line
    assert "alerts.anyone_on_the_network_may_listen: true" in line
    assert read(alerts % ", anyone_on_the_network_may_listen: true").alerts.publish


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500_000_000), ("2GiB", 2 << 30), ("1000000", 1_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    """Bytes, with the usual letters; too little to hold anything is refused."""
    assert read(ONE + f"alerts: {{max_size: {text}}}\n").alerts.max_size == size
    assert "alerts.max_size" in problems(ONE + "alerts: {max_size: 20k}\n")[0]
    assert "expected a size" in problems(ONE + "alerts: {max_size: big}\n")[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("90s", 90), ("10m", 600), ("1h", 3600), ("1.5h", 5400), ("7d", 604800)],
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    """Lengths of time are written as people say them."""
    config = read(f"cameras: {{gate: {{source: 0, learn_for: {text}}}}}")
    assert config.cameras["gate"].learn_for_s == seconds


def test_off_is_a_word() -> None:
    """`encoder: off` means off: YAML's truth values do not get in the way."""
    config = read("cameras: {off: {source: 0}}\ndetect: {encoder: off}\n")
    assert config.detect.encoder == "off"
    assert list(config.cameras) == ["off"]


def test_every_mistake_is_told_with_its_line() -> None:
    """All mistakes come at once, each with file, line and key, and what may have been meant."""
    text = """
cameras:
  gate:
    sorce: rtsp://10.0.0.20/1
    detect: {fps: 300, device: cpu}
    learn_for: 1 year
  yard: {source: 0, alerts_per_day: many}
capture: {transport: tpc}
detect: {devise: auto}
"""
    assert problems(text) == [
        "cameras.yaml:3: cameras.gate.source: this key is required",
        "cameras.yaml:4: cameras.gate.sorce: unknown key (did you mean source?)",
        "cameras.yaml:5: cameras.gate.detect.fps: must be less than or equal to 30",
        "cameras.yaml:5: cameras.gate.detect.device: this is set for all cameras together: "
        "move it to detect at the top level",
        "cameras.yaml:6: cameras.gate.learn_for: expected a length of time, such as 30, "
        '"90s", "10m" or "1h"',
        "cameras.yaml:7: cameras.yard.alerts_per_day: expected a number",
        "cameras.yaml:8: capture.transport: expected tcp or udp",
        "cameras.yaml:9: detect.devise: unknown key (did you mean device?)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cameras.yaml:1: the file is empty"),
        ("- a\n- b\n", "cameras.yaml:1: the file holds no keys"),
        ("cameras:\n", "cameras.yaml:1: cameras: at least one camera"),
        ("cameras: [\n", "cameras.yaml:2: not valid YAML"),
        ("a: b: c\n", "cameras.yaml:1: not valid YAML"),
        (ONE + "---\na: 1\n", "cameras.yaml:2: not valid YAML"),
        ("a: \x01\n", "cameras.yaml:1: not valid YAML"),
        ("cameras:\n  a: {source: 0}\n  a: {source: 1}\n", "3: cameras.a: this camera is config"),
        ("log: {level: info, level: debug}\n" + ONE, "1: log.level: duplicate key"),
        ("cameras: {a/b: {source: 0}}\n", "1: cameras.a/b: a camera's name is"),
        ("cameras: {a: !!python/object/new:os.system {}}\n", "1: cameras.a: YAML tags"),
        (ONE + "metrics: {listen: '0.0.0.0:9109'}\n", "2: metrics.listen: 0.0.0.0:9109 can be"),
        (ONE + "alerts: {publish: 'udp://x'}\n", "2: alerts.publish: expected an address"),
        (ONE + "alerts: {publish: 'ipc://run/x'}\n", "'ipc://run/x' is no address: write tcp://"),
        (ONE + "alerts: {publish: 'tcp://0.0.0.0:1'}\n", "2: alerts.publish: tcp://0.0.0.0:1 can"),
        (ONE + "alerts: {catch_up: 'tcp://*:1'}\n", "2: alerts.catch_up: tcp://*:1 can be"),
        (ONE + "alerts: {curve: {}}\n", "alerts.curve.secret_key_file: this key is required"),
        (
            ONE + "alerts: {curve: {allowed_keys: a, secret_key_file: b, allowed_keys_file: c}}\n",
            "allowed_keys_file?",
        ),
        (ONE + "capture: {slots: 8}\n", "capture.slots: must be greater than or equal to 10"),
        ("cameras: {a: {source: ftp://h/x}}\n", "1: cameras.a.source: source ftp://h/x: ftp://"),
        ("cameras: {a: {source: true}}\n", "1: cameras.a.source: expected a URL"),
        ("cameras: {a: {source: 0, alerts_per_day: .nan}}\n", "expected a number"),
    ],
)
def test_what_cannot_be_a_configuration_is_refused(text: str, said: str) -> None:
    """Each kind of bad file gets one line that says where and what."""
    assert said in problems(text)[0]


def test_bombs_are_refused() -> None:
    """Aliases that expand a thousandfold, and deep nesting, cost neither time nor memory."""
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
    )
    assert "more than 20000 values" in problems(bomb)[0]
    assert "nested too deeply" in problems("a: &a [*a]\n")[0]
    assert "nested too deeply" in problems("[" * 5000)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder, bytes that are no text and a huge file each say so."""
    binary, huge = tmp_path / "binary.yaml", tmp_path / "huge.yaml"
    binary.write_bytes(b"cameras:\n  \xff\xfe")
    huge.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, said in [
        (tmp_path / "none.yaml", "none.yaml: cannot be read: No such file"),
        (tmp_path, "this is a folder"),
        (binary, "binary.yaml:2: not UTF-8"),
        (huge, "larger than 256 KiB"),
    ]:
        with pytest.raises(ConfigError, match=said):
            load_config(path)


def test_secrets_come_from_the_environment_and_are_never_shown() -> None:
    """A password is filled in, fit for a URL whatever it holds, and masked wherever it prints."""
    config = read(
        "cameras: {gate: {source: 'rtsp://viewer:${PW}@h/1'}}\nmetrics: {token: '${TOKEN}'}",
        PW="p@ss/w:rd",
        TOKEN="long-enough-token",
    )
    source = config.cameras["gate"].source
    assert source.credentials == ("viewer", "p@ss/w:rd")
    shown = (
        f"{config!r} {config} {config.model_dump()} {config.model_dump_json()} {resolve(config)}"
    )
    assert "w:rd" not in shown
    assert "w%3Ard" not in shown
    assert "long-enough-token" not in shown


def test_a_password_in_a_query_is_whole_and_masked_whole() -> None:
    """Cameras that take the password as `?password=` get all of it, and nobody sees a part."""
    text = "cameras: {gate: {source: 'rtsp://h/1?user=u&password=${PW}&channel=2'}}"
    source = read(text, PW="p&ss/w rd#?=").cameras["gate"].source
    assert parse_qs(urlsplit(source.url).query)["password"] == ["p&ss/w rd#?="]
    assert source.masked == "rtsp://h/1?user=u&password=***&channel=2"


def test_a_missing_variable_is_named() -> None:
    """A variable that is not set is named with its line; `$${` writes a plain `${`."""
    text = "cameras:\n  gate:\n    source: 'rtsp://v:${GATE_PASSWORD}@h/1'\n"
    assert problems(text) == [
        "cameras.yaml:3: cameras.gate.source: the environment variable GATE_PASSWORD is not set"
    ]
    assert "expected ${NAME}" in problems("cameras: {a: {source: '${a b}'}}")[0]
    assert read("cameras: {a: {source: '/$${x}'}}").cameras["a"].source.url == "/${x}"


def test_wrong_values_from_the_environment_stay_secret() -> None:
    """An error about a value never repeats the value."""
    text = "cameras: {a: {source: 0, alerts_per_day: '${N}'}}\nmetrics: {token: '${N}'}"
    assert not [line for line in problems(text, N="hunter2") if "hunter2" in line]


def test_the_example_is_a_configuration() -> None:
    """The commented example can be used as it stands, once its password is set."""
    with configs.path("example.yaml") as path:
        config = load_config(path, {"GATE_PASSWORD": "x"})
    assert set(resolve(config)) == set(config.cameras)
    assert json.loads(config.model_dump_json())


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
KEYS = """
cameras detect capture health judge alerts metrics log gate source normal fps listen token
learn_for publish curve outbox encoder transport slots format level
zones schedule name include exclude by time_zone alert
"""
words = st.sampled_from(KEYS.split())
trees = st.recursive(
    scalars | words,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(words | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=25,
)


def answers(text: str) -> None:
    """`text` gives a Config or a ConfigError of printable lines that name the file."""
    try:
        config = parse_config(text, name="x.yaml", folder=Path("/x"), env={"A": "1", "B": "\0"})
    except ConfigError as exc:
        lines = str(exc).split("\n")
        assert all(line.startswith("x.yaml:") and line.isprintable() for line in lines)
    else:
        assert resolve(config)


@given(st.text(max_size=200) | st.text(alphabet="{}[]:,-&*!|>'\"%@`# \n\tab0$.~?", max_size=60))
@settings(deadline=None)
def test_any_text_is_answered(text: str) -> None:
    """Whatever a file holds, the answer is a configuration or a ConfigError."""
    answers(text)


@given(trees)
@settings(deadline=None)
def test_any_tree_is_answered(tree: Any) -> None:
    """Whatever YAML a file holds, the answer is a configuration or a ConfigError."""
    answers(yaml.safe_dump(tree, allow_unicode=True))


@given(st.dictionaries(words, st.dictionaries(words, trees, max_size=4), max_size=4))
@settings(deadline=None)
def test_any_sections_are_answered(sections: dict[str, Any]) -> None:
    """So it is where the rest of the file is right."""
    answers(yaml.safe_dump({"cameras": {"gate": {"source": "rtsp://h/${A}"}}} | sections))


SINKS = """
cameras: {gate: {source: rtsp://10.0.0.20/1}}
alerts:
  sinks:
    house:
      {type: mqtt, host: b, user: me, password: "${SECRET}", tls: {certificate_file: c.pem,
        key_password: "${SECRET}"}}
    hook:
      type: webhook
      url: https://hooks.example/${SECRET}?key=${SECRET}
      secret: "${SECRET}"
      headers: {Authorization: "Bearer ${SECRET}"}
    mine: {type: script, command: [bin/x], env: {TOKEN: "${SECRET}"}, cameras: [gate]}
    log: {type: syslog}
"""


def test_sinks_show_no_secret() -> None:
    """Neither printed, nor written out, nor in the settings that the program hands on."""
    config = read(SINKS, Path("/etc/x"), SECRET="s3cret-of-16-characters")
    settings_ = [sink.settings(name) for name, sink in config.alerts.sinks.items()]
    assert settings_[1].way.url.count("s3cret") == 2
    assert settings_[2].way.command == ("/etc/x/bin/x",)
    for text in (repr(config), config.model_dump_json(), repr(settings_), str(config)):
        assert "s3cret" not in text
    assert "https://hooks.example:443/***" in config.model_dump_json()


@pytest.mark.parametrize(
    ("sink", "problem"),
    [
        ("{type: mqtt, host: b, hots: x}", "x.hots: unknown key (did you mean host?)"),
        ("{type: mqtt, host: b, tls: {ca: x}}", "x.tls.ca: unknown key"),
        ("{type: mqtt}", "x.host: this key is required"),
        ("{type: mqtt, host: b, port: 99999}", "x.port: must be less than or equal to 65535"),
        ("{type: mqtt, host: b, password: p}", "x.user: a password needs a user"),
        ("{type: mqtt, host: b, tls: {key_file: k}}", "x.tls.certificate_file: a key needs a"),
        ("{type: mqtt, host: b, prefix: a/#}", "x.prefix: expected a topic such as"),
        ("{type: post, url: x}", "x: `type` has to be one of mqtt, webhook, script, syslog"),
        ("{url: x}", "x: `type` is missing: one of mqtt, webhook, script, syslog"),
        ("null", "x: expected keys below it"),
        ("{type: webhook, url: 'ftp://s3cret'}", "x.url: expected a URL such as"),
        ("{type: webhook, url: 'https://u:s3cret@h/'}", "x.url: give user and password"),
        ("{type: webhook, url: 'https://h/é'}", "x.url: "),
        ("{type: webhook, url: 'https://h/', secret: s3cret}", "x.secret: a secret needs"),
        (
            "{type: webhook, url: 'https://h/', headers: {Host: s3cret}}",
            "x.headers: Host is set by",
        ),
        ("{type: webhook, url: 'https://h/', message: $boo}", "x.message: $boo is no field"),
        ("{type: script, command: []}", "x.command: "),
        ("{type: script, command: [a, '${HOME}']}", "x.command.1: nothing is filled in here"),
        ("{type: script, command: [a], env: {a b: x}}", "x.env.a b: "),
        ("{type: syslog, address: 'x://y'}", "x.address: expected udp://HOST:514"),
        ("{type: syslog, address: 'udp://y:0'}", "x.address: expected udp://HOST:514"),
        ("{type: syslog, facility: loud}", "x.facility: expected one of kern"),
        ("{type: syslog, kinds: [fire]}", "x.kinds.0: expected anomaly or health"),
        ("{type: syslog, cameras: [yard]}", "x.cameras: there is no camera yard"),
        ("{type: syslog, backoff_max_s: soon}", "x.backoff_max_s: expected a length of time"),
    ],
)
def test_a_sink_that_is_wrong_is_told_by_key(sink: str, problem: str) -> None:
    """With its line and its key; without what may be a secret."""
    (told,) = problems(f"{ONE}alerts:\n  sinks:\n    x: {sink}\n", HOME="/s3cret")
    assert told.startswith(f"cameras.yaml:4: alerts.sinks.{problem}"), told
    assert "s3cret" not in told
