"""`sorawatch compare`: which events two replays do not share."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from sorawatch import ConfigError
from streamer.cli.common import Number, command, json_option, print_json
from streamer.config import CameraConfig, resolve
from streamer.config_judge import JudgeConfig
from streamer.config_load import load_config
from streamer.deciding.alert import Alert
from streamer.deciding.compare import Difference, compare_settings
from streamer.deciding.compare import compare as run
from streamer.deciding.moment import spoken
from streamer.deciding.redecide import Settings
from streamer.deciding.replayed import ReplayedCamera, open_replay
from streamer.judging import judge_settings

_PATH = click.Path(path_type=Path)
_JUDGE: Final = tuple(k for k in JudgeConfig.model_fields if k not in ("zones", "schedule"))
_KEYS: Final = ("alerts_per_day", "threshold", *(f"judge.{name}" for name in _JUDGE))


@command(
    "compare",
    example="sorawatch compare before after --tolerance-s 0.5\n"
    "sorawatch compare week --set judge.cooldown_s=30 --set alerts_per_day=2\n"
    "sorawatch compare week --config with-zones.yaml",
)
@click.argument("a", metavar="A", type=_PATH)
@click.argument("b", metavar="[B]", type=_PATH, required=False)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help=f"Instead of B: A decided anew with this. {', '.join(_KEYS)}.")  # fmt: skip
@click.option("--config", type=_PATH,
              help="Instead of B: A decided anew with alerts_per_day and judge (zones, schedule) "
              "of this configuration.")  # fmt: skip
@click.option("--tolerance-s", type=Number(0), default=1.0, show_default=True,
              help="Begins and ends that differ by no more are the same.")  # fmt: skip
@json_option
def compare(
    a: Path, b: Path | None, changes: tuple[str, ...], config: Path | None, tolerance_s: float,
    as_json: bool,
) -> int:  # fmt: skip
    """Say which events two replays do not share.

    A and B are folders of `sorawatch replay`, made over the same footage with two
    configurations, models or versions.
    Exit status: 0 when they hold the same events, 1 when any is gained, lost or moved by more than
    the tolerance, 2 when their footage is not the same.
    """
    if (b is None) == (not changes and config is None):
        raise click.UsageError("Give B, or --set or --config instead of it.")
    before = open_replay(a)
    if b is not None:
        found = run(before, open_replay(b), tolerance_s)
    else:
        found = compare_settings(before, _chosen(changes, config), tolerance_s)
    if as_json:
        print_json({**found.document(), "tolerance_s": tolerance_s})
    else:
        click.echo("\n".join(_lines(found)))
    return 1 if found.any else 0


def _chosen(changes: tuple[str, ...], config: Path | None) -> Callable[[ReplayedCamera], Settings]:
    """What each camera is to be decided on with."""
    given = dict(_parsed(change) for change in changes)
    cameras = None if config is None else resolve(load_config(config))

    def settings(camera: ReplayedCamera) -> Settings:
        return _settings(camera, given, None if cameras is None else _own(cameras, camera, config))

    return settings


def _own(
    cameras: dict[str, CameraConfig], camera: ReplayedCamera, config: Path | None
) -> CameraConfig:
    if camera.name not in cameras:
        raise ConfigError(f"{config}: has no camera {camera.name!r}, which the replay has")
    return cameras[camera.name]


def _settings(camera: ReplayedCamera, given: dict[str, str], own: CameraConfig | None) -> Settings:
    source = camera.facts if own is None else own
    rate, judge = source.alerts_per_day, source.judge
    values = {key.removeprefix("judge."): value for key, value in given.items()}
    try:
        if "threshold" in values:
            rate = camera.calibration.expected_per_day(float(values.pop("threshold")))
        if "alerts_per_day" in values:
            rate = float(values.pop("alerts_per_day"))
        camera.calibration.threshold(rate)
        if values:
            judge = JudgeConfig.model_validate({**judge.model_dump(), **values})
    except ValidationError as exc:
        error = exc.errors(include_input=False, include_url=False, include_context=False)[0]
        raise ConfigError(f"--set judge.{error['loc'][0]}: {error['msg']}") from exc
    except ValueError as exc:
        raise ConfigError(f"--set: {exc}") from exc
    return Settings(rate, judge_settings(judge))


def _parsed(change: str) -> tuple[str, str]:
    key, equals, value = change.partition("=")
    if not equals or key.strip() not in _KEYS:
        raise ConfigError(f"--set {change}: expected KEY=VALUE; the keys are {', '.join(_KEYS)}")
    return key.strip(), value.strip()


def _lines(found: Difference) -> list[str]:
    lines = [f"gained {_alert(one)}" for one in found.gained]
    lines += [f"lost   {_alert(one)}" for one in found.lost]
    lines += [
        f"moved  {_alert(one.before)}: begins {one.start_s:+.1f} s, ends {one.end_s:+.1f} s"
        for one in found.moved
    ]
    lines.append(
        f"{found.same} the same, {len(found.gained)} gained, {len(found.lost)} lost, "
        f"{len(found.moved)} moved"
    )
    return lines


def _alert(one: Alert) -> str:
    length_s = one.end_utc_s - one.start_utc_s
    return (
        f"{one.camera} {spoken(one.start_utc_s)} UTC {length_s:.1f} s, score {one.score:.2f} "
        f"{one.text}"
    ).rstrip()
