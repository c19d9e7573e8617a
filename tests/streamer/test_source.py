"""Sources: what people may write, and that a password is never seen."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorawatch import ConfigError
from streamer.capture.source import Source, SourceKind, mask_credentials


@pytest.mark.parametrize(
    ("text", "kind", "url", "live"),
    [
        ("rtsp://10.0.0.7/stream1", SourceKind.RTSP, "rtsp://10.0.0.7/stream1", True),
        ("RTSPS://[fe80::1]:322/a?b=c", SourceKind.RTSP, "rtsps://[fe80::1]:322/a?b=c", True),
        ("https://cam.example/live.m3u8", SourceKind.HTTP, "https://cam.example/live.m3u8", True),
        ("0", SourceKind.DEVICE, "0", True),
        ("/dev/video12", SourceKind.DEVICE, "12", True),
        ("/a/b.mp4", SourceKind.FILE, "/a/b.mp4", False),
        ("/a/b/", SourceKind.FOLDER, "/a/b", False),
    ],
)
def test_what_people_write(text: str, kind: SourceKind, url: str, live: bool) -> None:
    """Every form of source that the manual names is understood."""
    source = Source.parse(f" {text}\n")
    assert (source.kind, source.url, source.live) == (kind, url, live)


def test_relative_paths(tmp_path: Path) -> None:
    """A path is relative to where it was written; a folder is told from a file by looking."""
    (tmp_path / "frames").mkdir()
    folder = Source.parse("frames", base=tmp_path, fps=25)
    assert (folder.kind, folder.url, folder.fps) == (
        SourceKind.FOLDER,
        str(tmp_path / "frames"),
        25,
    )
    assert Source.parse("frames", base=tmp_path).fps == 10
    assert Source.parse("x.mp4", base=tmp_path).url == str(tmp_path / "x.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://viewer:geheim@10.0.0.7/x",
        "rtsp://viewer:geheim@/x",
        "rtsp://viewer:geheim@10.0.0.7:99999/x",
        "rtsp://viewer:geheim@10.0.0.7:0/x",
        "rtsp://viewer:geheim/7@10.0.0.7/x",
        "rtsp://viewer:geheim?7@10.0.0.7/x",
        "rtsp://viewer:geheim#7@10.0.0.7/x",
        "rtsp://viewer:554/geheim@10.0.0.7/x",
        "rtsp://viewer:?geheim@10.0.0.7/x",
        "rtsp://viewer:geheim@[fe80::1/x",
        "rtsp://viewer:geheim@10.0.0.7/a b",
        "rtsp://viewer:geheim@10.0.0.7/a\nb",
    ],
)
def test_mistakes(text: str) -> None:
    """What cannot be a source is a configuration error of one line, without the password."""
    with pytest.raises(ConfigError) as caught:
        Source.parse(text)
    message = str(caught.value)
    assert "geheim" not in message
    assert "\n" not in message
    assert message


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("rtsp://viewer:geheim@cam/x", "rtsp://viewer:***@cam/x"),
        ("rtsp://viewer:ge@heim@cam/x", "rtsp://viewer:***@cam/x"),
        ("rtsp://viewer:@cam/x", "rtsp://viewer:***@cam/x"),
        ("rtsp://viewer@cam/x", "rtsp://viewer@cam/x"),
        ("rtsp://cam/live@1", "rtsp://cam/live@1"),
        ("http://cam/flv?user=a&password=geheim&n=1", "http://cam/flv?user=a&password=***&n=1"),
        ("http://cam/v.cgi?loginuse=a&loginpas=geheim", "http://cam/v.cgi?loginuse=a&loginpas=***"),
        ("http://cam/x?access_token=geheim#t", "http://cam/x?access_token=***#t"),
        (
            "rtsp://cam/user=admin_password=geheim_channel=1_stream=0.sdp",
            "rtsp://cam/user=admin_password=***_channel=1_stream=0.sdp",
        ),
        ("rtsp://cam/x?monkey=1&passage=2", "rtsp://cam/x?monkey=1&passage=2"),
    ],
)
def test_masking(url: str, masked: str) -> None:
    """The password goes, wherever cameras want it; everything else stays legible."""
    assert str(Source.parse(url)) == masked
    assert mask_credentials(f"first {url} and then {url}") == f"first {masked} and then {masked}"


EVERYTHING_ELSE = (
    "source rtsp://zz:***@10.9.8.7:5540/y: host or port unreadable holds a space; write it as %20 "
    "in a password write / as %2F, ? as %3F and # as %23; in a path write @ as %40 "
    "control characters no host, or no such port Source('rtsp:"
)


@given(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=5))
def test_no_password_is_ever_printed(password: str) -> None:
    """Whatever is typed as a password shows in no text that is made of the source."""
    try:
        source = Source.parse(f"rtsp://zz:{password}@10.9.8.7:5540/y")
        shown = f"{source} {source!r} {source.masked}"
    except ConfigError as error:
        shown = str(error)
    assert password not in shown or password in EVERYTHING_ELSE


def test_credentials_are_decoded() -> None:
    """Percent signs in user and password mean what they mean in every URL."""
    assert Source.parse("rtsp://a%40b:c%2Fd@cam/x").credentials == ("a@b", "c/d")
    assert Source.parse("rtsp://cam/x").credentials is None


@pytest.mark.parametrize("text", ["rtsp://a:b@cam/x", "3", "/a/b.mp4", "/tmp/"])  # noqa: S108
def test_another_process_gets_the_same(text: str) -> None:
    """`url` and `fps` are all that has to travel."""
    source = Source.parse(text)
    assert Source.parse(source.url, fps=source.fps) == source
