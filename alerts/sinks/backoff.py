"""How long to wait before the next attempt: longer each time, and never all at once."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `most_s`, each shortened by up to a half by chance.

    By chance, so that a hundred programs do not come back to a server in the same moment.
    """

    first_s: float = 0.5
    most_s: float = 60.0
    chance: Callable[[], float] = random.random

    def wait_s(self, failures: int) -> float:
        """Before the attempt that follows on `failures` (1 or more) in a row."""
        whole_s: float = min(self.first_s * 2.0 ** min(failures - 1, 40), self.most_s)
        return whole_s * (1.0 - 0.5 * self.chance())
