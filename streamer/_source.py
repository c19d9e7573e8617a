"""Stands in for `streamer.capture.source` until it exists."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """Where a camera's pictures come from."""

    text: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Source":
        """The source that `text` names."""
        return cls(text)

    @property
    def masked(self) -> str:
        """For people: without the password."""
        return re.sub(r"(://[^/:@\s]*):[^/\s]*@", r"\1:***@", self.text)

    def __str__(self) -> str:
        """For people: without the password."""
        return self.masked
