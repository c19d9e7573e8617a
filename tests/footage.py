"""The real footage that some tests want: outside the repository, and not everywhere.

Its root is `SORAWATCH_FOOTAGE`, or the folder `shared/data` beside the repository.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(
    os.environ.get("SORAWATCH_FOOTAGE")
    or Path(__file__).resolve().parents[2].joinpath("shared", "data")
)


def footage(name: str) -> Path:
    """Path of a file or folder of the footage; skips the test, with the reason, without it."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"real footage {name} is not in {ROOT} (set SORAWATCH_FOOTAGE)")
    return path


def videos(*patterns: str) -> list[Path]:
    """Files of the footage that match, in order; skips the test, with the reason, without any."""
    found = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    if not found:
        pytest.skip(f"no real footage {', '.join(patterns)} in {ROOT} (set SORAWATCH_FOOTAGE)")
    return found
