"""``python -m benchmarks``: speed and memory beside their limits, measured in the same run."""
