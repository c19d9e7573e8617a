"""The section `alerts.sinks`: where alerts go beside ZeroMQ, one entry for each way out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from alerts.event import EventType, Kind, Severity
from alerts.sinks.backoff import Backoff
from alerts.sinks.choice import Choice
from alerts.sinks.homeassistant import Pictures
from alerts.sinks.mqtt import MqttSettings
from alerts.sinks.script import ScriptSettings
from alerts.sinks.sinks import SinkSettings
from alerts.sinks.syslog import FACILITIES, SyslogAddress, SyslogSettings
from alerts.sinks.template import MessageTemplate
from alerts.sinks.tls import TlsSettings
from alerts.sinks.webhook import Target, WebhookSettings, check_headers
from streamer.config_fields import AnchoredPath, PositiveSeconds, Section, anchored, read_by

SECRET_CHARACTERS: Final = 16
"""A shared secret has at least this many."""

_TOPIC: Final = re.compile(r"[^/+#$\x00-\x1f\x7f]{1,100}(/[^/+#$\x00-\x1f\x7f]{1,100}){0,5}")


def _topic(text: str) -> str:
    if not _TOPIC.fullmatch(text):
        raise ValueError("expected a topic such as sorawatch or site/sorawatch, without + # $")
    return text


def _template(text: str) -> str:
    MessageTemplate(text)
    return text


class WebhookUrl:
    """A URL of which only scheme and host are ever shown: what follows is often a secret."""

    def __init__(self, text: str) -> None:
        """Raise ValueError."""
        self.text = text
        self.target = Target.of(text)

    def __str__(self) -> str:
        """Masked."""
        return str(self.target)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        """Whether it is the same, secrets included."""
        return isinstance(other, WebhookUrl) and other.text == self.text

    def __hash__(self) -> int:
        """As for the text."""
        return hash(self.text)


def _url(value: object, _info: ValidationInfo) -> WebhookUrl:
    return value if isinstance(value, WebhookUrl) else WebhookUrl(str(value))


def _address(value: object, _info: ValidationInfo) -> SyslogAddress:
    return value if isinstance(value, SyslogAddress) else SyslogAddress.of(str(value))


def _command(command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if any("\0" in word for word in command):
        raise ValueError("an argument cannot hold a zero byte")
    program = command[0]
    if "/" in program:  # a path; others are looked up in PATH
        program = str(anchored(Path(program), info))
    return (program, *command[1:])


Topic = Annotated[str, AfterValidator(_topic)]
TemplateText = Annotated[str, AfterValidator(_template)]
UrlField = Annotated[WebhookUrl, read_by(_url)]
AddressField = Annotated[SyslogAddress, read_by(_address)]
SinkName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TlsConfig(Section):
    """TLS as a client; the other side is always verified."""

    ca_file: AnchoredPath | None = None
    """Who is believed (PEM), instead of the machine's list."""
    certificate_file: AnchoredPath | None = None
    """Who we are, where the other side asks."""
    key_file: AnchoredPath | None = None
    key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _with_certificate(self) -> Self:
        if self.certificate_file is None and (self.key_file or self.key_password):
            raise ValueError("certificate_file: a key needs a certificate")
        return self

    def settings(self) -> TlsSettings:
        """As a sink takes it."""
        password = _shown(self.key_password)
        return TlsSettings(self.ca_file, self.certificate_file, self.key_file, password)


class _SinkConfig(Section):
    cameras: tuple[str, ...] | None = None
    """These alone; None: all. So with the three below."""
    kinds: tuple[Kind, ...] | None = None
    severities: tuple[Severity, ...] | None = None
    types: tuple[EventType, ...] | None = None
    give_up_after_s: PositiveSeconds = 3 * 86_400.0
    """A message that cannot be delivered is given up when it is older than this."""
    backoff_max_s: PositiveSeconds = 60.0
    """Longest wait between attempts, unless the other side asks for more."""

    def _settings(self, name: str, way: "Way") -> SinkSettings:
        return SinkSettings(
            name,
            way,
            Choice(*map(_set, (self.cameras, self.kinds, self.severities, self.types))),
            Backoff(most_s=self.backoff_max_s),
            self.give_up_after_s,
        )


class MqttSinkConfig(_SinkConfig):
    """An MQTT 5 broker."""

    type: Literal["mqtt"]
    host: str = Field(min_length=1, max_length=255)
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """None: 8883 with TLS, 1883 without."""
    user: str | None = None
    password: SecretStr | None = None
    tls: TlsConfig | None = None
    client_id: str | None = Field(default=None, min_length=1, max_length=200)
    prefix: Topic = "sorawatch"
    discovery: Topic | None = "homeassistant"
    """Where Home Assistant looks for devices; None: it is told of none."""
    pictures: Pictures = "send"
    message: TemplateText | None = None
    timeout_s: PositiveSeconds = 10.0

    @model_validator(mode="after")
    def _with_user(self) -> Self:
        if self.password is not None and self.user is None:
            raise ValueError("user: a password needs a user")
        return self

    def settings(self, name: str) -> SinkSettings:
        """As `Sinks` takes it."""
        way = MqttSettings(
            self.host,
            self.port or (1883 if self.tls is None else 8883),
            self.client_id or "",
            self.user,
            _shown(self.password),
            None if self.tls is None else self.tls.settings(),
            self.prefix,
            self.discovery,
            self.pictures,
            self.message,
            self.timeout_s,
        )
        return self._settings(name, way)


class WebhookSinkConfig(_SinkConfig):
    """A URL that each event is posted to."""

    type: Literal["webhook"]
    url: UrlField
    secret: SecretStr | None = None
    """Signs each message; None: it is not signed."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    message: str | None = None
    content_type: str | None = Field(default=None, pattern=r"^[ -~]{1,100}$")
    tls: TlsConfig = TlsConfig()
    connect_timeout_s: PositiveSeconds = 5.0
    timeout_s: PositiveSeconds = 10.0

    @field_validator("secret")
    @classmethod
    def _long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SECRET_CHARACTERS:
            raise ValueError(f"a secret needs at least {SECRET_CHARACTERS} characters")
        return secret

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        check_headers(_all_shown(headers))
        return headers

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.message is not None:
            try:
                MessageTemplate(self.message, as_json="json" in (self.content_type or ""))
            except ValueError as exc:
                raise ValueError(f"message: {exc}") from exc
        return self

    def settings(self, name: str) -> SinkSettings:
        """As `Sinks` takes it."""
        way = WebhookSettings(
            self.url.text,
            _shown(self.secret),
            _all_shown(self.headers),
            self.message,
            self.content_type,
            self.tls.settings(),
            self.connect_timeout_s,
            self.timeout_s,
        )
        return self._settings(name, way)


class ScriptSinkConfig(_SinkConfig):
    """A command that is run for each event."""

    type: Literal["script"]
    command: Annotated[
        tuple[str, ...], Field(min_length=1, max_length=100), AfterValidator(_command)
    ]
    env: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], SecretStr] = Field(
        default_factory=dict
    )
    time_limit_s: PositiveSeconds = 30.0

    def settings(self, name: str) -> SinkSettings:
        """As `Sinks` takes it."""
        way = ScriptSettings(self.command, _all_shown(self.env), self.time_limit_s)
        return self._settings(name, way)


class SyslogSinkConfig(_SinkConfig):
    """A syslog receiver."""

    type: Literal["syslog"]
    address: AddressField = SyslogAddress("unix", "/dev/log")
    facility: str = "local0"
    message: TemplateText = "$line"
    tls: TlsConfig = TlsConfig()
    timeout_s: PositiveSeconds = 5.0

    @field_validator("facility")
    @classmethod
    def _known(cls, facility: str) -> str:
        if facility not in FACILITIES:
            raise ValueError(f"expected one of {', '.join(FACILITIES)}")
        return facility

    def settings(self, name: str) -> SinkSettings:
        """As `Sinks` takes it."""
        way = SyslogSettings(
            self.address, self.facility, self.message, self.tls.settings(), self.timeout_s
        )
        return self._settings(name, way)


Way = WebhookSettings | MqttSettings | ScriptSettings | SyslogSettings
SinkConfig = Annotated[
    MqttSinkConfig | WebhookSinkConfig | ScriptSinkConfig | SyslogSinkConfig,
    Field(discriminator="type"),
]
SINK_TYPES: Final[Mapping[str, type[_SinkConfig]]] = {
    "mqtt": MqttSinkConfig,
    "webhook": WebhookSinkConfig,
    "script": ScriptSinkConfig,
    "syslog": SyslogSinkConfig,
}


def _set(words: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(words)


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _all_shown(secrets: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items()}
