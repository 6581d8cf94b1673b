"""`agent-runtime dev`: serve a project while it is written: its code is reloaded, its turns are shown."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from agent_runtime.errors import BadProject
from agent_runtime.graph.outputs import Failed, Outcome, Output, ToolAnswered, ToolCalled
from agent_runtime.project.file import PROJECT_FILE, Project
from agent_runtime.project.graph import Graphs
from agent_runtime.project.langgraph_json import LANGGRAPH_FILE
from agent_runtime.project.reload import CodeReloader
from agent_runtime.turns.reports import TurnReport, state_of
from agent_runtime.turns.types import Turn, TurnRequest

logger = logging.getLogger(__name__)

_LOOK_MS = 30
_GATHER_MS = 200
_READ_AT_START = (PROJECT_FILE, LANGGRAPH_FILE, ".env")
_LONGEST_SHOWN = 100


class DevMode:
    """What `dev` adds to serving."""

    def __init__(self, project: Project) -> None:
        self._project = project
        # Saved twice within a second, at the same length, a file would look compiled already.
        sys.dont_write_bytecode = True
        # Its line of each turn says the same as ours, for machines.
        logging.getLogger("agent_runtime.turns.reports").setLevel(logging.WARNING)
        logging.getLogger("watchfiles").setLevel(logging.WARNING)

    # What turns do; see `graph_runner.TurnObserver`

    def began(self, turn: Turn, request: TurnRequest) -> None:
        again = f" again, attempt {turn.attempt}" if turn.attempt > 1 else ""
        _show(turn, f'began{again}: "{_short(str(request.message.text))}" thread_id={turn.thread_id}')

    def put(self, turn: Turn, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if isinstance(output, ToolCalled):
                given = ", ".join(f"{name}={value!r}" for name, value in output.arguments.items())
                _show(turn, f"  calls {output.name}({_short(given)})")
            elif isinstance(output, ToolAnswered):
                _show(turn, f"  {output.name} {'failed' if output.failed else 'answered'}")

    def ended(self, report: TurnReport, outcome: Outcome) -> None:
        _show(report.turn, " ".join([state_of(outcome), *_facts(report, outcome)]))

    # Code that is saved

    async def watch(self, graphs: Graphs) -> None:
        """The loop that serves new code when it is saved."""
        reloader = CodeReloader(self._project, graphs)
        places = {self._project.directory, *self._project.paths}
        try:
            async for changes in awatch(*places, watch_filter=_Saved(), debounce=_GATHER_MS, step=_LOOK_MS):
                names = sorted({Path(path).name for _, path in changes})
                for name in set(names) & set(_READ_AT_START):
                    logger.warning("project file changed, restart to use it file=%s", name)
                if any(name.endswith(".py") for name in names):
                    await self._reload(reloader, names)
        finally:
            await reloader.close()

    async def _reload(self, reloader: CodeReloader, names: Sequence[str]) -> None:
        try:
            await reloader.reload()
        except BadProject as error:
            cause = error.__cause__
            logger.error("code not reloaded, the code before stays in use: %s", error, exc_info=cause)
        else:
            logger.info("code reloaded files=%s", ",".join(names[:5]))


class _Saved(DefaultFilter):
    """Code, and files that are read at the start."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".data", ".venv", "venv")

    def __call__(self, change: Change, path: str) -> bool:
        wanted = path.endswith(".py") or Path(path).name in _READ_AT_START
        return wanted and super().__call__(change, path)


def _facts(report: TurnReport, outcome: Outcome) -> list[str]:
    uses = report.models().values()
    tokens_in, tokens_out = sum(use.input_tokens for use in uses), sum(use.output_tokens for use in uses)
    facts = [f"in {report.seconds:.1f} s"]
    if tokens_in or tokens_out:
        facts.append(f"tokens_in={tokens_in} tokens_out={tokens_out}")
    if report.tool_calls:
        facts.append(f"tool_calls={report.tool_calls}")
    if report.cost is not None:
        facts.append(f"cost={report.cost}")
    if isinstance(outcome, Failed):
        failure = report.failure
        facts.append(f"{failure.error}: {failure.message} ({failure.at})" if failure else outcome.reason)
    return facts


def _show(turn: Turn, what: str) -> None:
    logger.info("turn shown task_id=%s: %s", turn.task_id[:8], what)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"
