"""Benchmarks: `python -m benchmarks` runs them all, one JSON line a result."""
