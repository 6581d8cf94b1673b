"""New code of a project in place of the old, while its agent goes on."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType

from agent_runtime.project.file import Project
from agent_runtime.project.graph import Graphs, open_graphs

_OURS = frozenset({"__main__", "agent_runtime", "admin_api", "groundwork"})


class CodeReloader:
    """Imports a project's code again. Turns that run keep what they began with, and what earlier code has opened
    stays open until `close`."""

    def __init__(self, project: Project, graphs: Graphs) -> None:
        self._project = project
        self._graphs = graphs
        self._opened = AsyncExitStack()

    async def reload(self) -> None:
        """Raises `BadProject` when the new code cannot be served; then the old is served on."""
        before = forget_modules(self._project)
        try:
            self._graphs.replace(await self._opened.enter_async_context(open_graphs(self._project)))
        except BaseException:
            forget_modules(self._project)
            sys.modules.update(before)
            raise

    async def close(self) -> None:
        await self._opened.aclose()


def forget_modules(project: Project) -> dict[str, ModuleType]:
    """Make Python import the modules of the project anew, and return them as they were."""
    roots = [project.directory, *project.paths]
    own = {name: module for name, module in list(sys.modules.items()) if _is_own(name, module, roots)}
    for name in own:
        del sys.modules[name]
    return own


def _is_own(name: str, module: object, roots: list[Path]) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or name.partition(".")[0] in _OURS:
        return False
    place = Path(file)
    return "site-packages" not in place.parts and any(place.is_relative_to(root) for root in roots)
