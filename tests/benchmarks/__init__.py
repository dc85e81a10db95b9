"""Benchmarks: `python -m tests.benchmarks` runs all of them and prints their tables."""
