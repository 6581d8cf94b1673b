"""Threads as JSON lines: for those who read them, and for another database."""
