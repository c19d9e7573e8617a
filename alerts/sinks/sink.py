"""What every sink is: something that takes events in order, and says of each what became of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from alerts.event import Event
from sorawatch import SorawatchError


class NotNow(SorawatchError):
    """The other side cannot take an event now: it is offered again later.

    `after_s`: not before this, where the other side said so.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        """One line, without secrets: it goes into logs, status and metrics."""
        super().__init__(message)
        self.after_s = after_s


class Refused(SorawatchError):
    """The other side will never take the event that is its turn: the sink goes on to the next."""


@dataclass(frozen=True, slots=True)
class Item:
    """An event on its way: as a value, and as the JSON that was stored of it (docs/wire.md)."""

    event: Event
    body: bytes


class Sink(Protocol):
    """One way out. All its methods but `cameras` are called by the one thread that owns it."""

    def deliver(self, items: Sequence[Item], done: Callable[[Item], None]) -> None:
        """Hand over items in order; call `done` for each once the other side has it.

        What `done` was called for is not offered again. Raises NotNow, or Refused for the first
        item that is not done.
        """

    def tend(self) -> None:
        """A few times a second while nothing is to be delivered. Raises NotNow."""

    def cameras(self, names: Sequence[str]) -> None:
        """Which cameras there are, from any thread, before the first item and at each change."""

    def close(self) -> None:
        """Say goodbye, within a second. Raises nothing."""


class OneByOne:
    """A sink that takes items one at a time; a base class."""

    def deliver(self, items: Sequence[Item], done: Callable[[Item], None]) -> None:
        """As `Sink`."""
        for item in items:
            self.send(item)
            done(item)

    def send(self, item: Item) -> None:
        """Hand over one item. Raises NotNow or Refused."""
        raise NotImplementedError

    def tend(self) -> None:
        """Nothing to do."""

    def cameras(self, names: Sequence[str]) -> None:
        """Nothing depends on them."""

    def close(self) -> None:
        """Nothing to do."""
