"""Benchmarks: cost and latency of the path beside a ceiling of the same run; tests do not look at time, this does."""
