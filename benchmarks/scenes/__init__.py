"""Rendered data sets for the benchmarks: `python -m benchmarks.scenes --out DIR`."""
