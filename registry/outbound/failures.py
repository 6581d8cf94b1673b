"""What goes wrong with others, in words that anybody may read."""

from collections.abc import Sequence

from groundwork.outgoing.fetch import FetchFailed, FetchTimedOut, Unreachable
from registry.executions.events import Event, Failed


class OutboundFailed(Exception):
    """Somebody outside did not do what they were asked to, or were not asked at all. The message shows no secret;
    `retryable`, `kind`, `retry_after` and `codes` are as in `Failed`."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        kind: str = "error",
        retry_after: float | None = None,
        codes: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.kind = kind
        self.retry_after = retry_after
        self.codes = codes

    def outcome(self, events: Sequence[Event] = ()) -> Failed:
        return Failed(
            str(self),
            retryable=self.retryable,
            kind=self.kind,
            codes=self.codes,
            retry_after=self.retry_after,
            events=events,
        )


def fetch_failed(error: FetchFailed) -> OutboundFailed:
    """What is refused, or too large, is so the next time as well."""
    if isinstance(error, FetchTimedOut):
        return OutboundFailed(str(error), retryable=True, kind="timeout")
    if isinstance(error, Unreachable):
        return OutboundFailed(str(error), retryable=True, kind="io_error")
    return OutboundFailed(str(error))
