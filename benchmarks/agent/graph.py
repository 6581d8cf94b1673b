"""The graph of the benchmarks' agent; `BENCH_GRAPH` says which. The same ones are run in process."""

import os

from benchmarks.graphs import GRAPHS

graph = GRAPHS[os.environ.get("BENCH_GRAPH", "chat")]
