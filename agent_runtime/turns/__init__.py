"""One turn at a time per thread: accepted durably, run in order, resumed by another process if this one dies."""
