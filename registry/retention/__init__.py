"""Removing what has been over for long: executions, and artifacts that nobody needs any more."""
