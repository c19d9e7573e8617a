"""Editing a configuration: one value changes, every other character stays."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import configs
from sorawatch import ConfigError
from streamer.config_edit import edit_config, edited
from streamer.config_yaml import Key, read_yaml

RATE = ("cameras", "gate", "alerts_per_day")
LENGTH = ("cameras", "gate", "judge", "min_length_s")


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        ("cameras:\n  gate:\n    alerts_per_day: 1  # few\n    source: a\n", RATE,
         "cameras:\n  gate:\n    alerts_per_day: 2.5  # few\n    source: a\n"),
        ("cameras:\n  gate:\n    source: a  # sub\n\n    # below\n    judge: {}\n", RATE,
         "cameras:\n  gate:\n    source: a  # sub\n    alerts_per_day: 2.5\n\n    # below\n"
         "    judge: {}\n"),
        ("cameras:\n  gate:\n    source: a", RATE,
         "cameras:\n  gate:\n    source: a\n    alerts_per_day: 2.5\n"),
        ("cameras:\r\n  gate:\r\n    source: a\r\n", RATE,
         "cameras:\r\n  gate:\r\n    source: a\r\n    alerts_per_day: 2.5\r\n"),
        ("cameras: {gate: {source: a}}\n", RATE,
         "cameras: {gate: {source: a, alerts_per_day: 2.5}}\n"),
        ("cameras: {gate: {source: a}}\n", LENGTH,
         "cameras: {gate: {source: a, judge: {min_length_s: 2.5}}}\n"),
        ("cameras:\n  gate:\n    judge:\n      # short\n      min_length_s: 600ms\n", LENGTH,
         "cameras:\n  gate:\n    judge:\n      # short\n      min_length_s: 2.5\n"),
        ("cameras:\n  gate:\n    judge: {}\n", LENGTH,
         "cameras:\n  gate:\n    judge: {min_length_s: 2.5}\n"),
        ("cameras:\n  gate:\n    judge:\n    source: a\n", LENGTH,
         "cameras:\n  gate:\n    judge: {min_length_s: 2.5}\n    source: a\n"),
        ("cameras:\n  gate:\n    judge: ~\n", LENGTH,
         "cameras:\n  gate:\n    judge: {min_length_s: 2.5}\n"),
        ("cameras:\n  gate:\n    source: 'a: b'\n    judge:\n      cooldown_s: 1\n", LENGTH,
         "cameras:\n  gate:\n    source: 'a: b'\n    judge:\n      cooldown_s: 1\n"
         "      min_length_s: 2.5\n"),
    ],
)  # fmt: skip
def test_only_the_value_changes(before: str, key: Key, after: str) -> None:
    """Comments, order, quotes, line ends and the style of each section stay."""
    assert edited(before, {key: 2.5}, "c.yaml") == after
    assert edited(after, {key: 2.5}, "c.yaml") == after


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cameras: {yard: {source: a}}\n", "has no cameras.gate"),
        ("log: {}\n", "has no cameras"),
        ("cameras: {gate: [\n", "not valid YAML"),
        ("cameras:\n  gate: &g {source: a, judge: {}}\n  yard: *g\n", "write by hand"),
    ],
)
def test_what_cannot_be_changed_safely_is_left(tmp_path: Path, text: str, says: str) -> None:
    """A value that others share, a camera that is not there: an error, and the file as it was."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        edit_config(path, {RATE: 2.5})
    assert path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == ["c.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A configuration that is linked from elsewhere is changed where it lies."""
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("cameras: {gate: {source: a}}\n")
    link.symlink_to(real)
    assert edit_config(link, {RATE: 3}) == tmp_path / "real.yaml.bak"
    assert link.is_symlink()
    assert "alerts_per_day: 3}" in real.read_text()


@given(st.floats(1e-6, 1e5), st.floats(0, 1e5))
def test_any_number_comes_back_as_it_was_chosen(rate: float, length_s: float) -> None:
    """What is written reads as the same number, in the example that ships too."""
    text = (Path(configs.__file__).parent / "example.yaml").read_text()
    name = next(iter(read_yaml(text, {}).tree["cameras"]))
    values: dict[Key, float] = {
        ("cameras", name, "alerts_per_day"): rate,
        ("cameras", name, "judge", "min_length_s"): length_s,
    }
    camera = read_yaml(edited(text, values, "c.yaml"), {}).tree["cameras"][name]
    assert (camera["alerts_per_day"], camera["judge"]["min_length_s"]) == (rate, length_s)
