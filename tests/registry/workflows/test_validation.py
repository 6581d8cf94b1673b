"""What is wrong with a document is said, all of it at once, with its place."""

import json
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.errors import InvalidRequest
from registry.workflows import kinds
from registry.workflows.ir import END
from registry.workflows.validation import read_workflow
from tests.registry.workflows.samples import SAMPLES, ir, load_sample

STOP = {"id": "stop", "type": "end"}


def _problems(document):
    with pytest.raises(InvalidRequest) as refused:
        read_workflow(document)
    return list(refused.value.problems)


def _one_of(kind, **more):
    """The problems of a document with one node of that kind."""
    return _problems(ir({"id": "n", **kind}, **more))


def test_every_problem_is_in_one_answer():
    document = ir(
        {"id": "draft", "type": "model", "node": {"retry_policy": "often", "node_timeout_secs": -1}},
        {"id": "gate", "type": "condition", "branches": [{"condition": "a = 1", "target": "x"}, {}]},
        {"id": "ask", "type": "telepathy"},
        edges=[("draft", "gate", "state.a =="), ("gate", "nowhere"), ("nobody", "end")],
        start_node="begin",
        timeouts={"workflow_timeout": "soon"},
        retry_policies={"slow": {"max_attempts": 0, "backoff": "random"}},
        remote_agents={"peer": {"url": "peer", "auth": {"type": "bearer", "token": "s3cr3t"}}},
    )
    del document["version"]
    known = ", ".join([*(kind.type for kind in kinds.Kind.__args__), "branch"])
    assert _problems(document) == [
        "ir.version is required",
        "ir.timeouts.workflow_timeout should be a valid number",
        "ir.retry_policies.slow.max_attempts should be greater than or equal to 1",
        "ir.retry_policies.slow.backoff should be 'fixed', 'linear' or 'exponential'",
        "ir.remote_agents.peer.url should be an absolute URL with a host, without credentials",
        "ir.remote_agents.peer.auth.token is not known here",
        "ir.nodes.draft.node_timeout_secs should be greater than 0",
        "ir.nodes.draft.kind.model_ref is required",
        "ir.nodes.gate.kind.branches.0.condition: at character 3: '=' compares nothing; write '=='",
        "ir.nodes.gate.kind.branches.1.target is required",
        f"ir.nodes.ask.kind.type: there is no kind 'telepathy'; there are {known}",
        "ir.edges.0.condition: at character 11: expected a value, found the end",
        "ir.start_node: there is no node 'begin'",
        "ir.edges.2.from: there is no node 'nobody'",
        "ir.edges.1.to: there is no node 'nowhere'",
    ]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ({"type": "python_fn"}, "ir.nodes.n.kind.module is required"),
        ({"type": "python_fn", "module": "a b", "function": "f"}, "kind.module should be a dotted name of Python"),
        ({"type": "wait", "condition": "timer"}, "ir.nodes.n.kind: timeout_secs is required to wait for a timer"),
        ({"type": "wait", "timeout_secs": 1e12}, "timeout_secs should be less than or equal to"),
        ({"type": "human_approval", "timeout_secs": True}, "timeout_secs should be a valid number"),
        ({"type": "join", "merge_strategy": "custom"}, 'merge_strategy should be {"custom": {"function_ref"'),
        (
            {"type": "join", "merge_strategy": {"custom": {"function_ref": "f"}}},
            "custom.function_ref should be like",
        ),
        ({"type": "join", "merge_strategy": "last"}, "merge_strategy should be 'collect', 'first' or 'custom'"),
        ({"type": "join", "wait_for": ["x"]}, "ir.nodes.n.kind.wait_for.0: there is no node 'x'"),
        ({"type": "join", "wait_for": ["end"]}, "ir.nodes.n.kind.wait_for.0: there is no node 'end'"),
        ({"type": "parallel", "branches": ["x"]}, "ir.nodes.n.kind.branches.0: there is no node 'x'"),
        ({"type": "parallel", "branches": "x"}, "ir.nodes.n.kind.branches should be a list"),
        ({"type": "policy", "on_violation": {"branch": {"target": "x"}}}, "branch.target: there is no node 'x'"),
        ({"type": "policy", "on_violation": "branch"}, 'on_violation should be {"branch"'),
        ({"type": "coordinator", "output_key": "k", "strategy": "mine"}, "kind.strategy should be 'default'"),
        ({"type": "agent_tool", "agent": {}, "output_key": "k"}, "kind.agent should be 'explicit' or 'auto'"),
        ({"type": "agent_tool", "agent": "explicit", "output_key": "k"}, 'agent should be {"explicit"'),
        (
            {"type": "eval", "scorers": [{"type": "assertion", "checks": ["x("]}]},
            "assertion.checks.0: at character",
        ),
        ({"type": "eval", "scorers": [{"type": "vibes"}]}, "scorers.0: tag 'vibes'"),
        (
            {"type": "mcp_tool", "server": "s", "tool": "t"},
            "kind.server: there is no server 's' in ir.mcp_servers",
        ),
        ({"type": "model", "model_ref": ""}, "kind.model_ref: String should have at least 1 character"),
        ({"type": "tool", "tool_ref": "t", "input_mapping": []}, "input_mapping should be an object"),
        ({"type": 7}, "ir.nodes.n.kind.type is required"),
        ({}, "ir.nodes.n.kind.type is required"),
    ],
)
def test_a_kind_is_told_what_it_lacks(kind, problem):
    told = _one_of(kind)
    assert any(each.startswith("ir.nodes.n.kind") and problem in each for each in told), told


def test_a_tool_of_a_kind_that_cannot_be_called_is_refused_where_it_is_used():
    tools = {"t": {"kind": "grpc", "reference": "svc/Method"}}
    assert read_workflow(ir(STOP, tools=tools)).tools["t"].kind == "grpc"
    for kind in ("tool", "finalizer"):
        told = "ir.nodes.n.kind.tool_ref: 't' is a tool of kind grpc, which cannot be run"
        assert _one_of({"type": kind, "tool_ref": "t"}, tools=tools) == [told]


def test_a_server_that_cannot_be_reached_is_refused_where_it_is_used():
    servers = {"s": {"transport": "web_socket", "url": "ws://s.test"}}
    assert read_workflow(ir(STOP, mcp_servers=servers)).mcp_servers["s"].transport == "web_socket"
    told = "ir.nodes.n.kind.server: 's' is reached by web_socket, which cannot be used"
    assert _one_of({"type": "mcp_tool", "server": "s", "tool": "t"}, mcp_servers=servers) == [told]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("workflow_id", None, "ir.workflow_id is required"),
        ("workflow_id", "a/b", "ir.workflow_id should be printable, without slashes and without blanks around it"),
        ("version", "", "ir.version: String should have at least 1 character"),
        ("version", "1 0", "ir.version should be printable, without blanks"),
        ("version", True, "ir.version should be a valid string"),
        ("nodes", None, "ir.nodes is required"),
        ("nodes", {}, "ir.nodes should not be empty"),
        ("nodes", "x", "ir.nodes should be an object"),
        ("nodes", {"end": {"kind": {"type": "end"}}}, "ir.nodes should have a node besides the end"),
        ("nodes", {"a": {"kind": "end"}}, "ir.nodes.a.kind should be an object"),
        ("nodes", {"a": None}, "ir.nodes.a should be an object"),
        ("nodes", {"a": {}}, "ir.nodes.a.kind is required"),
        ("nodes", {"a": {"id": "b", "kind": {"type": "end"}}}, "ir.nodes.a.id: the node is called 'b' here"),
        ("nodes", [{"kind": {"type": "end"}}], "ir.nodes.0.id is required"),
        ("nodes", [{"id": "a", "kind": {"type": "end"}}] * 2, "ir.nodes.1.id: there are two nodes 'a'"),
        ("edges", {}, "ir.edges should be a list"),
        ("edges", ["a"], "ir.edges.0 should be an object"),
        ("edges", [{"from": "stop", "to": ["end"]}], "ir.edges.0.to should be a valid string"),
        ("start_node", "begin", "ir.start_node: there is no node 'begin'"),
        ("labels", {"a": 1}, "ir.labels.a should be a valid string"),
        ("models", {"m": {"provider": "p"}}, "ir.models.m.model is required"),
        (
            "models",
            {"m": {"model": "x", "retry_policy": "r"}},
            "ir.models.m.retry_policy: there is no policy 'r'; ",
        ),
        (
            "tools",
            {"t": {"kind": "python", "reference": "f"}},
            "ir.tools.t: reference should be like package.module:",
        ),
        ("tools", {"t": {"kind": "http", "reference": "f"}}, "ir.tools.t: reference should be an absolute URL"),
        ("tools", ["t"], "ir.tools should be an object"),
        ("mcp_servers", {"s": {"transport": "stdio"}}, "ir.mcp_servers.s: command is required"),
        (
            "mcp_servers",
            {"s": {"transport": "http_sse", "url": "http://u:p@h"}},
            "ir.mcp_servers.s.url should be an",
        ),
        (
            "mcp_servers",
            {"s": {"transport": "http_sse", "url": "x", "auth": {"type": "api_key"}}},
            "ir.mcp_servers.s",
        ),
        ("remote_agents", {"a": {"url": "http://h", "auth": {"type": "bearer"}}}, "auth: token_env required"),
        (
            "token_budget",
            {"total_tokens": -1},
            "ir.token_budget.total_tokens should be greater than or equal to 0",
        ),
        ("cost_budget_usd", "1", "ir.cost_budget_usd should be a valid number"),
    ],
)
def test_a_document_is_told_what_is_wrong_with_it(name, value, problem):
    told = _problems(ir(STOP, edges=[]) | {name: value})
    assert any(problem in each for each in told), told


@pytest.mark.parametrize("name", ["PEER TOKEN", "sk-1234-5678", "", "1TOKEN"])
def test_only_names_of_the_environment_stand_for_secrets(name):
    auth = {"type": "bearer", "token_env": name}
    told = _problems(ir(STOP, remote_agents={"a": {"url": "http://h", "auth": auth}}))
    assert told == ["ir.remote_agents.a.auth.token_env should be the name of an environment variable"]


def test_a_document_of_absurd_size_is_refused():
    nodes = [{"id": f"n{number}", "type": "end"} for number in range(2_001)]
    assert _problems(ir(*nodes, edges=[])) == ["ir.nodes has 2001 nodes; at most 2000 are accepted"]
    edges = [("stop", "end")] * 10_001
    assert _problems(ir(STOP, edges=edges)) == ["ir.edges has 10001 edges; at most 10000 are accepted"]
    branches = [{"target": "end"}] * 10_001
    told = _one_of({"type": "condition", "branches": branches})
    assert told == ["ir has 10001 ways between nodes; at most 10000 are accepted"]


def test_countless_problems_are_cut_short():
    told = _problems(ir(STOP, edges=[("stop", "x")] * 500))
    assert (len(told), told[-1]) == (101, "and 400 problems more")


def test_only_what_identifies_a_workflow_and_its_nodes_is_required():
    workflow = read_workflow({"workflow_id": "w", "version": "1", "nodes": {"a": {"kind": {"type": "end"}}}})
    assert (workflow.start_node, workflow.edges, workflow.timeouts.workflow_timeout) == ("a", (), None)


def test_a_version_may_be_a_number():
    assert read_workflow(ir(STOP) | {"version": 1.5}).version == "1.5"


@pytest.mark.parametrize("state_schema", ["", "a.B", {"a": "int"}, None])
def test_any_schema_of_the_state_is_accepted(state_schema):
    assert read_workflow(ir(STOP) | {"state_schema": state_schema}).start_node == "stop"


def test_nodes_may_be_a_list():
    document = load_sample("01")
    as_list = document | {"nodes": list(document["nodes"].values())}
    assert read_workflow(as_list) == read_workflow(document)


def test_without_a_start_it_is_the_node_that_none_leads_to():
    nodes = [{"id": "b", "type": "condition"}, {"id": "a", "type": "condition"}]
    assert read_workflow(ir(*nodes, edges=[("a", "b")])).start_node == "a"
    assert read_workflow(ir(*nodes, edges=[("a", "b"), ("b", "a")])).start_node == "b"
    assert read_workflow(ir(*nodes, edges=[])).start_node == "b"


def test_a_node_called_end_is_the_end():
    workflow = read_workflow(ir({"id": "a", "type": "condition"}, {"id": "end", "type": "end"}))
    assert (list(workflow.nodes), [route.target for route in workflow.routes]) == (["a"], [END])
    told = _problems(ir({"id": "a", "type": "condition"}, {"id": "end", "type": "wait"}))
    assert told == ["ir.nodes.end: no node but one of kind end can be called so"]


@pytest.mark.parametrize("dangling", ["gone", "end"])
def test_what_compilers_leave_dangling_is_the_end(dangling):
    approval = {"id": "a", "type": "human_approval", "fallback_node": dangling}
    call = {"id": "c", "type": "a2a_task", "remote_agent": "p", "skill": "s", "on_input_required": dangling}
    workflow = read_workflow(ir(approval, call))
    beside = [(route.source, route.when, route.target) for route in workflow.routes if route.when != "completed"]
    assert beside == [("a", "timed_out", END), ("c", "input_required", END)]


def test_null_is_as_good_as_absent():
    kind = {"id": "m", "type": "model", "model_ref": "m", "system_prompt": None, "tools": None, "prompt_ref": None}
    document = ir(kind, labels=None, timeouts=None, models=None, edges=None, policy=None)
    read = read_workflow(document).nodes["m"].kind
    assert read == kinds.Model(model_ref="m")


@pytest.mark.parametrize(("given_time", "seconds"), [(5, 5), (1.5, 1.5), ("90s", 90), ("500ms", 0.5), ("2m", 120)])
def test_times_may_have_a_unit(given_time, seconds):
    policies = {"r": {"max_attempts": 2, "initial_delay": given_time}}
    workflow = read_workflow(ir(STOP, timeouts={"node_timeout": given_time}, retry_policies=policies))
    assert workflow.timeouts.node_timeout == seconds
    assert workflow.retry_policies["r"].initial_delay == seconds


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = st.sampled_from(
    ["workflow_id", "version", "nodes", "edges", "timeouts", "tools", "policy", "kind", "type"]
)


@given(_JSON | st.dictionaries(_FIELDS, _JSON | st.dictionaries(_FIELDS, _JSON)))
def test_any_json_is_read_or_refused(document):
    _read_or_refuse(document)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(SAMPLES).map(load_sample), st.data())
def test_any_change_of_a_sample_is_read_or_refused(document, data):
    for _ in range(data.draw(st.integers(1, 3))):
        _change(document, data)
    _read_or_refuse(document)


def _read_or_refuse(document):
    before = deepcopy(document)
    try:
        workflow = read_workflow(document)
    except InvalidRequest as refused:
        problems = refused.problems
    else:
        problems = []
        assert workflow.start_node in workflow.nodes
        assert {route.target for route in workflow.routes} <= workflow.nodes.keys() | {END}
    assert all(problem.startswith(("ir", "and ")) for problem in problems)
    assert json.dumps(document) == json.dumps(before)


def _change(document, data):
    """Replaces, removes or adds something anywhere in the document."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and data.draw(st.booleans()):
            place = place[key]
            continue
        match data.draw(st.sampled_from(["replace", "remove", "swap"])):
            case "replace":
                place[key] = data.draw(_JSON)
            case "remove":
                del place[key]
            case "swap":
                other = data.draw(st.sampled_from(keys))
                place[key], place[other] = place[other], place[key]
        return
