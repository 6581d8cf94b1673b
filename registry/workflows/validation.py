"""Reading an IR, in whichever form JamJet's compilers give it, and saying all that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from registry.checks import check_value
from registry.errors import InvalidRequest
from registry.workflows.ir import END, Edge, Node, Route, Workflow, routes_between
from registry.workflows.kinds import (
    A2ATask,
    Condition,
    End,
    Finalizer,
    HumanApproval,
    Join,
    Kind,
    McpTool,
    Parallel,
    PolicyCheck,
    Tool,
)
from registry.workflows.parts import LONGEST_NAME, Amount, Labels, Name, Part, Seconds, is_workflow_id
from registry.workflows.specs import (
    BUILTIN_RETRIES,
    DataPolicy,
    McpServerSpec,
    ModelSpec,
    Policy,
    RemoteAgentSpec,
    RetryPolicy,
    StrategyMetadata,
    Timeouts,
    TokenBudget,
    ToolSpec,
)

MOST_NODES = 2_000
MOST_EDGES = 10_000
"""Branches and what joins wait for count too."""

_MOST_PROBLEMS = 100

_KINDS: dict[str, TypeAdapter[Kind]] = {kind.type: TypeAdapter(kind) for kind in get_args(Kind)}
_KINDS["branch"] = _KINDS[Condition.type]  # what JamJet 0.6 calls some of them

_CANNOT_RUN = {"memory_retrieval": "this registry has no connector to a memory"}


def read_workflow(document: Mapping[str, Any]) -> Workflow:
    """Raises `InvalidRequest` with every problem, each naming its node or edge: `ir.edges.2.to: there is no …`."""
    reader = _Reader(document)
    workflow = reader.read()
    problems = reader.problems
    if len(problems) > _MOST_PROBLEMS:
        problems = [*problems[:_MOST_PROBLEMS], f"and {len(problems) - _MOST_PROBLEMS} problems more"]
    if workflow is None or problems:
        raise InvalidRequest(*problems)
    return workflow


class _Reader:
    """Reads a document part by part, so that what is wrong with one part hides nothing of the others."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.problems: list[str] = []
        self._node_ids: set[str] = set()
        """With those of nodes that cannot be read, as they are there to be led to."""

    def read(self) -> Workflow | None:
        if not isinstance(self._document, Mapping):
            self.problems.append("ir should be an object")
            return None
        frame = self._part(_FRAME, self._document, "ir")
        specs = {name: self._named_parts(name, adapter) for name, adapter in _SPECS.items()}
        nodes = {node.node_id: node for node in self._nodes()}
        edges = dict(self._edges())
        self._check_references(nodes, edges, specs)
        if self.problems or frame is None:
            return None
        return self._put_together(frame, nodes, edges, specs)

    def _part(self, adapter: TypeAdapter[Any], value: Any, name: str) -> Any:
        """None, and its problems noted, when the part cannot be read."""
        try:
            return check_value(adapter, value, inside=name)
        except InvalidRequest as error:
            self.problems += error.problems
            return None

    def _named_parts(self, name: str, adapter: TypeAdapter[Any]) -> dict[str, Any]:
        """A map of the document; None for what cannot be read in it."""
        given = self._document.get(name)
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.problems.append(f"ir.{name} should be an object")
            return {}
        return {
            key: self._part(adapter, value, f"ir.{name}.{key}")
            for key, value in given.items()
            if self._is_name(key, f"ir.{name}")
        }

    def _is_name(self, key: object, inside: str) -> bool:
        usable = isinstance(key, str) and 0 < len(key) <= LONGEST_NAME
        if not usable:
            self.problems.append(f"{inside}: a name should be text of 1 to {LONGEST_NAME} characters")
        return usable

    def _nodes(self) -> Iterator[Node]:
        given = self._given_nodes()
        if len(given) > MOST_NODES:
            self.problems.append(f"ir.nodes has {len(given)} nodes; at most {MOST_NODES} are accepted")
            return
        self._node_ids = {node_id for node_id, _ in given}
        for node_id, value in given:
            node = self._node(node_id, value)
            if node_id != END:
                if node is not None:
                    yield node
            elif node is not None and not isinstance(node.kind, End):
                self.problems.append(f"ir.nodes.{END}: no node but one of kind end can be called so")

    def _given_nodes(self) -> list[tuple[str, Any]]:
        """Ids and nodes, of which the document has a map, or a list of nodes that know their ids."""
        given = self._document.get("nodes")
        if isinstance(given, list):
            given = self._map_of_nodes(given)
        elif not isinstance(given, Mapping):
            self.problems.append("ir.nodes is required" if given is None else "ir.nodes should be an object")
            return []
        if not given:
            self.problems.append("ir.nodes should not be empty")
        return [(key, value) for key, value in given.items() if self._is_name(key, "ir.nodes")]

    def _map_of_nodes(self, given: list[Any]) -> dict[str, Any]:
        nodes: dict[str, Any] = {}
        for index, value in enumerate(given):
            node_id = value.get("id") if isinstance(value, Mapping) else None
            if not isinstance(node_id, str):
                self.problems.append(f"ir.nodes.{index}.id is required")
            elif node_id in nodes:
                self.problems.append(f"ir.nodes.{index}.id: there are two nodes {_shown(node_id)}")
            else:
                nodes[node_id] = value
        return nodes

    def _node(self, node_id: str, value: Any) -> Node | None:
        name = f"ir.nodes.{node_id}"
        fields: _NodeFields | None = self._part(_NODE_FIELDS, value, name)
        kind = self._kind(value.get("kind"), f"{name}.kind") if isinstance(value, Mapping) else None
        if fields is None or kind is None:
            return None
        if fields.id not in (None, node_id):
            self.problems.append(f"{name}.id: the node is called {fields.id!r} here")
        return Node(
            node_id=node_id,
            kind=kind,
            retry_policy=fields.retry_policy,
            timeout_seconds=fields.node_timeout_secs,
            description=fields.description,
            labels=fields.labels,
            policy=fields.policy,
        )

    def _kind(self, given: Any, name: str) -> Kind | None:
        kind = given.get("type") if isinstance(given, Mapping) else None
        if given is None:
            self.problems.append(f"{name} is required")
        elif not isinstance(given, Mapping):
            self.problems.append(f"{name} should be an object")
        elif not isinstance(kind, str):
            self.problems.append(f"{name}.type is required")
        elif reason := _CANNOT_RUN.get(kind):
            self.problems.append(f"{name}.type: {kind} cannot be run; {reason}")
        elif kind not in _KINDS:
            known = ", ".join(_KINDS)
            self.problems.append(f"{name}.type: there is no kind {_shown(kind)}; there are {known}")
        else:
            read: Kind | None = self._part(_KINDS[kind], given, name)
            return read
        return None

    def _edges(self) -> Iterator[tuple[int, Edge]]:
        """The edges that can be read, with their places in the document."""
        given = self._document.get("edges")
        if given is None:
            return
        if not isinstance(given, list):
            self.problems.append("ir.edges should be a list")
        elif len(given) > MOST_EDGES:
            self.problems.append(f"ir.edges has {len(given)} edges; at most {MOST_EDGES} are accepted")
        else:
            for index, value in enumerate(given):
                if edge := self._part(_EDGE, value, f"ir.edges.{index}"):
                    yield index, edge

    def _check_references(
        self, nodes: Mapping[str, Node], edges: Mapping[int, Edge], specs: Mapping[str, Mapping[str, Any]]
    ) -> None:
        places, steps = self._node_ids | {END}, self._node_ids - {END}
        start = self._document.get("start_node")
        named = [("ir.start_node", start, steps)] if start and isinstance(start, str) else []
        named += [(f"ir.edges.{index}.from", edge.source, self._node_ids) for index, edge in edges.items()]
        named += [(f"ir.edges.{index}.to", edge.target, places) for index, edge in edges.items()]
        for node in nodes.values():
            inside = f"ir.nodes.{node.node_id}.kind"
            named += [(f"{inside}.{name}", target, places) for name, target in _targets_of(node.kind)]
            if isinstance(node.kind, Join):
                awaited = enumerate(node.kind.wait_for)
                named += [(f"{inside}.wait_for.{index}", source, steps) for index, source in awaited]
        self.problems += [
            f"{name}: there is no node {_shown(ref)}" for name, ref, there in named if ref not in there
        ]
        for name, problem in _other_references(nodes, specs):
            self.problems.append(f"{name}: {problem}")

    def _put_together(
        self,
        frame: "_Frame",
        nodes: Mapping[str, Node],
        edges: Mapping[int, Edge],
        specs: Mapping[str, Mapping[str, Any]],
    ) -> Workflow | None:
        nodes = {node.node_id: _without_dangling(node, self._node_ids) for node in nodes.values()}
        used = tuple(edge for edge in edges.values() if edge.source != END)
        routes = routes_between(nodes, used)
        self.problems += _problems_of_routes(nodes, routes)
        if not nodes:
            self.problems.append("ir.nodes should have a node besides the end")
        if self.problems:
            return None
        return Workflow(
            workflow_id=frame.workflow_id,
            version=frame.version,
            name=frame.name,
            description=frame.description,
            start_node=frame.start_node or _start_among(nodes, routes),
            nodes=nodes,
            edges=used,
            retry_policies=specs["retry_policies"],
            models=specs["models"],
            tools=specs["tools"],
            mcp_servers=specs["mcp_servers"],
            remote_agents=specs["remote_agents"],
            timeouts=frame.timeouts,
            labels=frame.labels,
            policy=frame.policy,
            token_budget=frame.token_budget,
            cost_budget_usd=frame.cost_budget_usd,
            on_budget_exceeded=frame.on_budget_exceeded,
            data_policy=frame.data_policy,
            strategy_limits=frame.strategy_metadata.limits,
        )


def _targets_of(kind: Kind) -> Iterator[tuple[str, str]]:
    """The nodes that a kind leads to, apart from those that may dangle, with the names of the fields."""
    match kind:
        case Condition(branches=branches):
            yield from ((f"branches.{index}.target", each.target) for index, each in enumerate(branches))
        case Parallel(branches=targets):
            yield from ((f"branches.{index}", target) for index, target in enumerate(targets))
        case PolicyCheck(branch=branch) if branch:
            yield "branch.target", branch.target


def _other_references(
    nodes: Mapping[str, Node], specs: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """What names something that is not there, or that cannot be run."""
    retries = specs["retry_policies"].keys() | BUILTIN_RETRIES.keys()
    users = [(f"ir.nodes.{node.node_id}.retry_policy", node.retry_policy) for node in nodes.values()]
    users += [
        (f"ir.models.{name}.retry_policy", spec.retry_policy) for name, spec in specs["models"].items() if spec
    ]
    for name, policy in users:
        if policy is not None and policy not in retries:
            known = ", ".join(sorted(retries))
            yield name, f"there is no policy {policy!r}; there are {known}"
    for node in nodes.values():
        inside = f"ir.nodes.{node.node_id}.kind"
        match node.kind:
            case Tool(tool_ref=tool) | Finalizer(tool_ref=tool):
                spec = specs["tools"].get(tool)
                if spec and spec.kind == "grpc":
                    yield f"{inside}.tool_ref", f"{tool!r} is a tool of kind grpc, which cannot be run"
            case McpTool(server=server) if server not in specs["mcp_servers"]:
                yield f"{inside}.server", f"there is no server {server!r} in ir.mcp_servers"
            case McpTool(server=server):
                spec = specs["mcp_servers"][server]
                if spec and spec.transport == "web_socket":
                    yield f"{inside}.server", f"{server!r} is reached by web_socket, which cannot be used"


def _without_dangling(node: Node, known: set[str]) -> Node:
    """Compilers leave two fields as they were written; what they name and is not there is the end."""
    match node.kind:
        case HumanApproval(fallback_node=str(target)) if target not in known:
            return replace(node, kind=node.kind.model_copy(update={"fallback_node": END}))
        case A2ATask(on_input_required=str(target)) if target not in known:
            return replace(node, kind=node.kind.model_copy(update={"on_input_required": END}))
    return node


def _problems_of_routes(nodes: Mapping[str, Node], routes: list[Route]) -> Iterator[str]:
    if len(routes) > MOST_EDGES:
        yield f"ir has {len(routes)} ways between nodes; at most {MOST_EDGES} are accepted"
    for route in routes:
        source, target = nodes[route.source].kind, nodes.get(route.target)
        decides = isinstance(source, Condition) and source.branches
        if decides and route.when != "branch" and target is not None:
            yield (
                f"ir.nodes.{target.node_id}.kind.wait_for: {route.source!r} is a condition with no branch to here"
            )


def _start_among(nodes: Mapping[str, Node], routes: list[Route]) -> str:
    """Where a run starts when the document does not say: at the one node that none leads to, else at the first."""
    led_to = {route.target for route in routes}
    roots = [node_id for node_id in nodes if node_id not in led_to]
    return roots[0] if len(roots) == 1 else next(iter(nodes))


def _shown(name: str) -> str:
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…")


def _check_workflow_id(text: str) -> str:
    if not is_workflow_id(text):
        raise PydanticCustomError("id", "should be printable, without slashes and without blanks around it")
    return text


def _check_version(text: str) -> str:
    if not text.isprintable() or any(character.isspace() for character in text):
        raise PydanticCustomError("version", "should be printable, without blanks")
    return text


def _number_as_text(value: object) -> object:
    """A version such as 1.0 is a number in YAML."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class _Frame(Part):
    workflow_id: Annotated[Name, AfterValidator(_check_workflow_id)]
    version: Annotated[Name, BeforeValidator(_number_as_text), AfterValidator(_check_version)]
    name: str = ""
    description: str = ""
    start_node: str = ""
    timeouts: Timeouts = Timeouts()
    labels: Labels
    policy: Policy | None = None
    token_budget: TokenBudget = TokenBudget()
    cost_budget_usd: Amount | None = None
    on_budget_exceeded: str | None = None
    data_policy: DataPolicy | None = None
    strategy_metadata: StrategyMetadata = StrategyMetadata()


class _NodeFields(Part):
    id: Name | None = None
    retry_policy: Name | None = None
    node_timeout_secs: Seconds | None = None
    description: str = ""
    labels: Labels
    policy: Policy | None = None


_FRAME = TypeAdapter(_Frame)
_NODE_FIELDS = TypeAdapter(_NodeFields)
_EDGE = TypeAdapter(Edge)
_SPECS: Mapping[str, TypeAdapter[Any]] = {
    "retry_policies": TypeAdapter(RetryPolicy),
    "models": TypeAdapter(ModelSpec),
    "tools": TypeAdapter(ToolSpec),
    "mcp_servers": TypeAdapter(McpServerSpec),
    "remote_agents": TypeAdapter(RemoteAgentSpec),
}
