"""The graph that a project names: imported, made by a factory where it is one, and opened for turns."""

import asyncio
import importlib
import importlib.machinery
import inspect
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

from agent_runtime.errors import BadProject
from agent_runtime.graph.contexts import ContextBuilder
from agent_runtime.graph.inputs import GraphInput
from agent_runtime.project.file import Project
from agent_runtime.turns.containment import contained
from agent_runtime.turns.state_types import serializer_for

logger = logging.getLogger(__name__)

Graph = CompiledStateGraph[Any, Any, Any, Any]

DEFAULT_RECURSION_LIMIT = 200
"""Steps of a turn, where neither the project nor the graph says how many. LangGraph's own is ten thousand."""

_LANGGRAPH_LIMIT = 9_999
"""What `create_agent` puts into its graphs, and LangGraph itself is about there: nobody's choice."""

_ACCEPTED = (
    "accepted are a LangGraph graph, compiled or not, an @entrypoint, or a function that returns one: ordinary,"
    " async, or a context manager, without arguments or with config or runtime"
)


@dataclass(frozen=True)
class FactoryUser:
    """The caller, as a factory finds it in its runtime."""

    identity: str
    permissions: Sequence[str] = ()

    @property
    def display_name(self) -> str:
        return self.identity

    @property
    def is_authenticated(self) -> bool:
        return True


@dataclass(frozen=True)
class FactoryRuntime:
    """What a factory is given as `runtime`, with the attributes of `langgraph_sdk.runtime.ServerRuntime`."""

    access_context: str
    user: FactoryUser | None = None
    store: Any = None
    context: Any = None

    @property
    def execution_runtime(self) -> "FactoryRuntime | None":
        return self if self.access_context == "threads.create_run" else None

    def ensure_user(self) -> FactoryUser:
        """Return the caller. Raises `PermissionError` when it is anonymous."""
        if self.user is None:
            raise PermissionError("the caller is anonymous; A2A_TOKENS says who may call")
        return self.user


class GraphSource:
    """A running agent's graph. `graph` is as it was at the start; its schemas and channels hold for all turns."""

    def __init__(self, project: Project, graph: Graph, factory: "_Factory | None" = None) -> None:
        self._project = project
        self._factory = factory
        self.graph = graph
        self.inputs = GraphInput.of(graph)
        self.contexts = ContextBuilder(graph)
        self.serializer = serializer_for(graph)

    @asynccontextmanager
    async def opened(
        self, configurable: Mapping[str, Any], caller: str, context: Any, store: BaseStore | None = None
    ) -> AsyncIterator[Graph]:
        """Open the graph for one turn, and close it with the block. Raises whatever its factory raises."""
        if self._factory is None:
            yield self.graph
            return
        user = FactoryUser(caller) if caller else None
        runtime = FactoryRuntime("threads.create_run", user, store=store, context=context)
        async with AsyncExitStack() as stack:
            yield await self._factory.enter(stack, configurable, runtime)


@asynccontextmanager
async def open_graph(project: Project) -> AsyncIterator[GraphSource]:
    """Import the project's graph, and open it with the block.

    A factory without arguments is called once, and what it opens lives as long as the block. One that takes
    `config` or `runtime` is called for every turn; here it is called to see that it can be, and for the schemas.
    Raises `BadProject` when the graph cannot be served.
    """
    found = await asyncio.to_thread(_import_graph, project)
    factory = _Factory(project, found)
    async with AsyncExitStack() as stack:
        with contained():
            try:
                if factory.is_called_per_turn:
                    async with AsyncExitStack() as once:
                        graph = await factory.enter(once, {"thread_id": ""}, FactoryRuntime("assistants.read"))
                else:
                    graph = await factory.enter(stack, {}, FactoryRuntime("assistants.read"))
            except (BadProject, asyncio.CancelledError):
                raise
            except BaseException as error:
                raise _broken(project, f"calling {project.graph!r} failed", error) from error
        yield GraphSource(project, graph, factory if factory.is_called_per_turn else None)


DEFAULT_NAME = "agent"
"""What the only graph of a project is called, if it does not say."""


class Graphs:
    """The graphs of a running agent by name. The first answers A2A; clients of LangGraph's API choose.

    Other code may take their place while the agent runs; a turn goes on with the source that it began with.
    """

    def __init__(self, sources: Mapping[str, GraphSource]) -> None:
        self._sources = sources

    def replace(self, others: "Graphs") -> None:
        """Serve the sources of `others` from now on."""
        self._sources = others._sources

    @property
    def default_name(self) -> str:
        return next(iter(self._sources))

    @property
    def default(self) -> GraphSource:
        return self._sources[self.default_name]

    @property
    def are_several(self) -> bool:
        return len(self._sources) > 1

    def find(self, name: str) -> GraphSource | None:
        return self._sources.get(name)

    def items(self) -> Iterable[tuple[str, GraphSource]]:
        return self._sources.items()


@asynccontextmanager
async def open_graphs(project: Project) -> AsyncIterator[Graphs]:
    """Import the project's graphs, and open them with the block. Raises `BadProject` when one cannot be served."""
    async with AsyncExitStack() as stack:
        sources = {project.graph_name or DEFAULT_NAME: await stack.enter_async_context(open_graph(project))}
        for name, spec in project.others.items():
            other = replace(project, graph=spec, graph_name=name)
            sources[name] = await stack.enter_async_context(open_graph(other))
        yield Graphs(sources)


class _Factory:
    """What the project names, if need be called, awaited and entered."""

    def __init__(self, project: Project, found: Any) -> None:
        self._project = project
        self._found = found
        self._is_called = not isinstance(found, StateGraph | Pregel) and not _is_context_manager(found)
        if self._is_called and not callable(found):
            raise _refused(project, found)
        self._takes = _arguments(project, found) if self._is_called else {}

    @property
    def is_called_per_turn(self) -> bool:
        return bool(self._takes)

    async def enter(
        self, stack: AsyncExitStack, configurable: Mapping[str, Any], runtime: FactoryRuntime
    ) -> Graph:
        made = self._found
        if self._is_called:
            given = {"config": {"configurable": dict(configurable)}, "runtime": runtime}
            # Off the loop: it may take its time, or call `asyncio.run`.
            made = await asyncio.to_thread(made, **{name: given[what] for name, what in self._takes.items()})
        if inspect.isawaitable(made):
            made = await made
        if hasattr(made, "__aenter__"):
            made = await stack.enter_async_context(made)
        elif hasattr(made, "__enter__"):
            entered = made
            made = await asyncio.to_thread(entered.__enter__)
            stack.push_async_exit(lambda *error: asyncio.to_thread(entered.__exit__, *error))
        return _served(self._project, made)


def _is_context_manager(found: Any) -> bool:
    return not isinstance(found, type) and (hasattr(found, "__aenter__") or hasattr(found, "__enter__"))


def _arguments(project: Project, function: Callable[..., Any]) -> dict[str, str]:
    """Return which parameters get what: `config` or `runtime`, known by their names or types."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    takes: dict[str, str] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        hint = str(parameter.annotation)
        if parameter.name == "runtime" or "Runtime" in hint:
            takes[parameter.name] = "runtime"
        elif parameter.name == "config" or "RunnableConfig" in hint:
            takes[parameter.name] = "config"
        elif parameter.default is parameter.empty:
            raise bad_graph(
                project,
                f"{project.graph!r} needs the argument {parameter.name!r}; accepted are config and runtime",
            )
    return takes


def _served(project: Project, made: Any) -> Graph:
    if isinstance(made, StateGraph):
        try:
            made = made.compile()
        except (ValueError, TypeError) as error:
            raise _broken(project, f"{project.graph!r} does not compile", error) from error
    elif not isinstance(made, Pregel):
        raise _refused(project, made)
    limited: Graph = made.with_config({"recursion_limit": _recursion_limit(project, made)})
    return limited


def _recursion_limit(project: Project, graph: Graph) -> int:
    chosen = (graph.config or {}).get("recursion_limit")
    if project.recursion_limit is not None:
        return project.recursion_limit
    if chosen is not None and chosen < _LANGGRAPH_LIMIT:
        return chosen
    return int(os.environ.get("LANGGRAPH_DEFAULT_RECURSION_LIMIT") or DEFAULT_RECURSION_LIMIT)


def _import_graph(project: Project) -> Any:
    """Return what the project names. Called in a thread, where a module may run an event loop of its own."""
    where, _, attribute = project.graph.rpartition(":")
    roots, name = _module(project, where)
    sys.path[:] = [*roots, *(entry for entry in sys.path if entry not in roots)]
    importlib.invalidate_caches()
    _forget_namesake(roots, name.partition(".")[0])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        logger.debug("graph import failed", exc_info=True)
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise bad_graph(project, f"there is no module {where!r} in {project.directory}") from error
        missing = f"module {name!r} needs {error.name!r}, which is not installed{_place(project, error)}"
        raise bad_graph(project, f"{missing}{_how_to_install(project)}") from error
    except BaseException as error:
        raise _broken(project, f"importing module {name!r} failed", error) from error
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise bad_graph(project, f"module {name!r} has no {attribute!r}") from None


def _module(project: Project, where: str) -> tuple[list[str], str]:
    """Return the directories to import from, and the module's name there. A file in a package is imported as its
    module, so that it can import its neighbours."""
    source = project.directory / "src"
    roots = [project.directory, *([source] if source.is_dir() else []), *project.paths]
    if not where.endswith(".py"):
        return [str(root) for root in roots], where
    file = (project.directory / where).resolve()
    if not file.is_file():
        raise bad_graph(project, f"there is no file {where!r} in {project.directory}")
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return list(dict.fromkeys(map(str, (root, *roots)))), name


def _forget_namesake(roots: list[str], name: str) -> None:
    """Two projects may both have a `graph.py`; the one that Python imported before is not this project's."""
    loaded = sys.modules.get(name)
    here = importlib.machinery.PathFinder.find_spec(name, roots)
    if loaded is None or here is None or getattr(loaded, "__file__", None) == here.origin:
        return
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]


def _how_to_install(project: Project) -> str:
    """The command that installs what the project says it needs, if it says so."""
    if any((project.directory / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        return "; pip install -e . installs the project with what it needs"
    if (project.directory / "requirements.txt").is_file():
        return "; pip install -r requirements.txt installs what it needs"
    return ""


def _place(project: Project, error: BaseException) -> str:
    """Where in the project's own code the error came up, as ` (helpers.py:3)`."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    for filename, line in reversed(frames):
        path = Path(filename)
        if path.is_relative_to(project.directory) and "site-packages" not in path.parts:
            return f" ({path.relative_to(project.directory)}:{line})"
    return ""


def _refused(project: Project, found: Any) -> BadProject:
    return bad_graph(project, f"{project.graph!r} is a {type(found).__name__}; {_ACCEPTED}")


def _broken(project: Project, what: str, error: BaseException) -> BadProject:
    logger.debug(what, exc_info=error)
    cause = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return bad_graph(project, f"{what}: {cause}{_place(project, error)}")


def bad_graph(project: Project, message: str) -> BadProject:
    """Return the error for a graph that cannot be served."""
    return BadProject(f"{project.source}: graph: {message}")
