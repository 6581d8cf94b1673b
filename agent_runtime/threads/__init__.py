"""Threads: who owns them, what was said in them, how they are erased, how they change hands."""
