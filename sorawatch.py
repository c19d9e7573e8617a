"""Sorawatch's error tree and version: the one module that every package may import.

```
SorawatchError            5  anything else
├── ConfigError           2  usage or configuration
│   ├── DeviceError       2  the device that was asked for is not there
│   └── ReplayError       2  a replay's folder, or a trace in it, cannot be used
├── SourceError           3  a camera or a file cannot be opened or read
├── ModelError            4  an encoder file is missing, foreign or broken
│   └── NormalityError    4  so is a normality file
├── ResourceError         5  memory, disk or port that the machine cannot give
└── OutboxError           5  the outbox cannot be read or written
```

The number is the exit status of the command. A message is one line: it names the file, key,
camera or URL (password masked) and says what to do.
"""

from typing import ClassVar

__version__ = "0.1.0"


class SorawatchError(Exception):
    """Base of every error that Sorawatch raises on purpose."""

    exit_status: ClassVar[int] = 5


class ConfigError(SorawatchError):
    """A configuration, or a command's arguments, cannot be used as they are."""

    exit_status = 2


class DeviceError(ConfigError):
    """The device that the configuration names is not available on this machine."""


class ReplayError(ConfigError):
    """A replay's folder, or a trace in it, is missing, foreign, of another version or broken."""


class SourceError(SorawatchError):
    """A source cannot be opened or read; `reason` says why, in one word.

    `reason` is one of auth, not_found, refused, timeout, codec, ended, error. The only error
    that capture retries.
    """

    exit_status = 3

    def __init__(self, message: str, reason: str = "error") -> None:
        """Keep the reason beside the message."""
        super().__init__(message)
        self.reason = reason


class ModelError(SorawatchError):
    """An encoder file is missing, broken, or does not fit the contract."""

    exit_status = 4


class NormalityError(ModelError):
    """A normality file is missing, broken, or was made for something else."""


class ResourceError(SorawatchError):
    """The machine cannot give what was asked for: memory, disk, a port."""


class OutboxError(SorawatchError):
    """The outbox cannot be opened, read or written."""
