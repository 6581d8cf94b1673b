"""How often a node is tried, and how long it waits in between."""

import pytest

from registry.engine.retries import next_attempt_after
from registry.executions.events import Failed
from registry.workflows.specs import RetryPolicy
from registry.workflows.validation import read_workflow
from tests.registry.workflows.samples import ir


@pytest.mark.parametrize(
    ("name", "attempts"), [(None, 3), ("no_retry", 1), ("fast", 2), ("llm_default", 3), ("io_default", 5)]
)
def test_policies_that_every_workflow_has(name, attempts):
    workflow = read_workflow(ir({"id": "a", "type": "end", "node": {"retry_policy": name}}))
    assert workflow.retries_of(workflow.nodes["a"]).max_attempts == attempts


def test_a_policy_of_the_documents_own_comes_first():
    policies = {"io_default": {"max_attempts": 9}}
    workflow = read_workflow(
        ir({"id": "a", "type": "end", "node": {"retry_policy": "io_default"}}, retry_policies=policies)
    )
    assert workflow.retries_of(workflow.nodes["a"]).max_attempts == 9


@pytest.mark.parametrize(
    ("backoff", "delays"), [("fixed", [2, 2, 2, 2]), ("linear", [2, 4, 6, 8]), ("exponential", [2, 4, 8, 10])]
)
def test_delays_grow_up_to_a_bound(backoff, delays):
    policy = RetryPolicy(max_attempts=5, backoff=backoff, initial_delay=2.0, max_delay=10.0)
    assert [policy.delay_before(attempt) for attempt in (2, 3, 4, 5)] == delays
    assert policy.delay_before(100) == (2 if backoff == "fixed" else 10)


@pytest.mark.parametrize(
    ("named", "kind", "error", "is_tried_again"),
    [
        ("io_error", "server_error", "answered 503", True),
        ("server_error", "io_error", "cannot be reached", False),
        ("connection_reset", "io_error", "the connection was lost", True),
        ({"custom": "EAGAIN"}, "error", "[Errno 11] EAGAIN: try again", True),
        ({"custom": "BusyError"}, "error", "shop.BusyErrors: no", False),
        ({"io_error": None}, "io_error", "", True),
    ],
)
def test_a_policy_names_classes_of_errors_and_errors_of_the_users_own(named, kind, error, is_tried_again):
    policies = {"p": {"max_attempts": 2, "retryable_on": [named]}}
    node = {"id": "a", "type": "end", "node": {"retry_policy": "p"}}
    workflow = read_workflow(ir(node, retry_policies=policies))
    failed = Failed(error, retryable=True, kind=kind)
    assert (next_attempt_after(workflow, workflow.nodes["a"], failed, 0) is not None) == is_tried_again
