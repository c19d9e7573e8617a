"""Asking the program that runs, over HTTP at its `metrics.listen`."""

from http.client import HTTPConnection, HTTPException

from sorawatch import ConfigError, SorawatchError
from streamer.config_listen import MetricsConfig

_MAX_BYTES = 8 * 1024 * 1024


def ask_status(metrics: MetricsConfig, timeout_s: float = 5.0) -> str:
    """The JSON of `/status`. SorawatchError when nothing, or something else, answers in time."""
    if metrics.listen is None:
        raise ConfigError("metrics.listen is null: the program serves no status")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(metrics.listen.host, metrics.listen.host)  # noqa: S104
    connection = HTTPConnection(host, metrics.listen.port, timeout=timeout_s)
    headers = {}
    if metrics.token is not None:
        headers["Authorization"] = f"Bearer {metrics.token.get_secret_value()}"
    try:
        connection.request("GET", "/status", headers=headers)
        response = connection.getresponse()
        body = response.read(_MAX_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as exc:
        raise SorawatchError(
            f"nothing answers at {metrics.listen}: {exc}; is `sorawatch run` running?"
        ) from exc
    finally:
        connection.close()
    if response.status != 200:
        raise SorawatchError(f"{metrics.listen} answers {response.status} {response.reason}")
    return body
