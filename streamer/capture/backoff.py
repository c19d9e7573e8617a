"""How long to wait before the next attempt: longer each time, never the same for two cameras."""

import random


class Backoff:
    """Waits that double from `first_s` up to `max_s`, each shortened at random by up to half.

    The randomness keeps cameras behind one switch from coming back all at once.
    """

    def __init__(
        self, first_s: float = 0.25, max_s: float = 3.0, rng: random.Random | None = None
    ) -> None:
        """Start at the shortest wait; `max_s` bounds every wait, the first one too."""
        self._first_s = min(first_s, max_s)
        self._max_s = max_s
        self._rng = rng or random.Random()
        self._wait_s = self._first_s

    def next_s(self) -> float:
        """The next wait, in seconds."""
        wait_s = self._wait_s
        self._wait_s = min(2 * wait_s, self._max_s)
        return wait_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the shortest wait, once a connection has held."""
        self._wait_s = self._first_s
