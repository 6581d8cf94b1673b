"""How often a node is tried, and how long it waits in between."""

import pytest

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
