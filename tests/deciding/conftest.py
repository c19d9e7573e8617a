"""One small normality for all replays that are made by hand."""

import pytest
from replays import normality

from detectors.normality import Normality


@pytest.fixture(scope="session")
def learned() -> Normality:
    return normality()
