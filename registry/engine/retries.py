"""When a node that has failed is tried again. Pure."""

import random
import re
from collections.abc import Mapping
from datetime import timedelta

from registry.executions.events import Failed
from registry.workflows.ir import Node, Workflow
from registry.workflows.specs import RetryPolicy

_CLASSES: Mapping[str, tuple[str, ...]] = {
    "timeout": ("timeout",),
    "rate_limit": ("rate_limit",),
    "server_error": ("server_error",),
    "connection_reset": ("io_error",),
    "io_error": ("io_error", "server_error"),
    "error": ("error",),
}
"""JamJet's classes of errors, and one more, with the `Failed.kind` of what belongs to them."""


def next_attempt_after(workflow: Workflow, node: Node, failed: Failed, attempt: int) -> timedelta | None:
    """How long to wait before the node is tried again; None when it is not. `attempt` counts from 0."""
    policy = workflow.retries_of(node)
    if attempt + 1 >= policy.max_attempts or not _may_be_repeated(policy, failed):
        return None
    seconds = policy.delay_before(attempt + 2)
    if policy.jitter:
        seconds *= random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
    return timedelta(seconds=max(seconds, failed.retry_after or 0))


def _may_be_repeated(policy: RetryPolicy, failed: Failed) -> bool:
    """A name that is no class is a code that the failure came with, or stands in its text as a word of its own."""
    if any(code in policy.retryable_on for code in failed.codes):
        return True
    if not failed.retryable:
        return False
    return not policy.retryable_on or any(_is_meant(name, failed) for name in policy.retryable_on)


def _is_meant(name: str, failed: Failed) -> bool:
    if name in _CLASSES:
        return failed.kind in _CLASSES[name]
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", failed.error) is not None
