"""When a node that has failed is tried again. Pure."""

import random
from datetime import timedelta

from registry.engine.visits import Failed
from registry.workflows.ir import Node, Workflow


def next_attempt_after(workflow: Workflow, node: Node, failed: Failed, attempt: int) -> timedelta | None:
    """How long to wait before the node is tried again; None when it is not. `attempt` counts from 0."""
    policy = workflow.retries_of(node)
    if not failed.retryable or attempt + 1 >= policy.max_attempts:
        return None
    if policy.retryable_on and failed.kind not in policy.retryable_on:
        return None
    seconds = policy.delay_before(attempt + 2)
    if policy.jitter:
        seconds *= random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
    return timedelta(seconds=max(seconds, failed.retry_after or 0))
