"""What an execution may hold and write, over its whole life."""

from groundwork.bounds import LIFETIME_STEPS, STATE_BYTES, WRITTEN_BYTES
from groundwork.postgres.checkpoint_rows import CheckpointRows
from registry.executions.models import TakenUp


class TooMuchWritten(Exception):
    """The execution holds, or has written, more than it may; the message says of what."""


class Lifetime:
    """What an execution has come to, the time before this worker took it up included."""

    def __init__(self, taken: TakenUp) -> None:
        self.steps = taken.steps_executed
        self.bytes_written = taken.bytes_written
        self.is_ending = False
        """How it ends is written in any case."""

    def check(self, rows: CheckpointRows) -> None:
        """Raises `TooMuchWritten` when these rows, the state after a step, are too much or one too many."""
        if self.is_ending:
            return
        state = max((len(blob.data) for blob in rows.blobs.values()), default=0)
        if state > STATE_BYTES:
            raise TooMuchWritten(f"the state has {state} bytes; at most {STATE_BYTES} are kept")
        if self.bytes_written > WRITTEN_BYTES:
            raise TooMuchWritten(f"more than {WRITTEN_BYTES} bytes were written")
        if self.steps > LIFETIME_STEPS:
            raise TooMuchWritten(f"more than {LIFETIME_STEPS} steps were taken")
