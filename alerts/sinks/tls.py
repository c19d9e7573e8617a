"""TLS as a client: the other side is always verified."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from sorawatch import ConfigError


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`ca_file`: who is believed, instead of the machine's list.

    `certificate_file` and `key_file` (PEM) say who we are, where the other side asks.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Read the files. Raises ConfigError that names the one that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise ConfigError(f"ca_file: {self.ca_file}: {_reason(exc)}") from exc
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file is not None:
            password = self.key_password or ""  # "" and not None, which would ask on a terminal
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, lambda: password)
            except (OSError, ValueError) as exc:
                where = f"{self.certificate_file}, {self.key_file or 'its key in the same file'}"
                raise ConfigError(f"certificate_file: {where}: {_reason(exc)}") from exc
        return context


def _reason(exc: Exception) -> str:
    return getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)
