"""Readers of benchmark files, one per format; they know files and arrays, not benchmarks."""
