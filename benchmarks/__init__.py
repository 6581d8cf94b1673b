"""What the software costs, measured against what it is built on: `python -m benchmarks`."""
