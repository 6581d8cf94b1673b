"""A start without what no start needs. Most of the time from the command to the first answer is imports, and
a good part of those are of clients, data models and command lines of libraries that a server never comes to use.

For commands alone: whoever imports this software as a library gets every import as it stands.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType

UNTIL_USED = frozenset({"charset_normalizer", "langgraph_sdk", "langsmith.types", "psutil"})
"""Packages that others import in case they need them, or for a module inside them. Their own code, which imports
all of the package, runs once something of it is asked for."""

MODELS = frozenset({"a2a.compat.v0_3.types", "fastapi.openapi.models", "langsmith.run_trees", "langsmith.schemas"})
"""Modules of pydantic models, each of which is built when it is used for the first time."""

NOT_THERE = frozenset({"httpx._main", "uvicorn.supervisors.watchfilesreload"})
"""Modules that their importers can do without, and say so by catching `ImportError`."""


def hurry() -> None:
    """From here on imports are quick, and no garbage is collected: what is imported stays. To be called before
    anything large is imported, and followed by `settle()` when the process is ready."""
    gc.disable()
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def settle() -> None:
    """The process is loaded: what is there is there to stay and is not searched for garbage any more. What comes
    from now on is, and less often than after every 700 new objects, which is several times in a request. But not
    so rarely that the garbage takes megabytes, and a search for it a hundredth of a second."""
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
    gc.enable()


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in NOT_THERE:
            raise ModuleNotFoundError(f"{fullname} is left out", name=fullname)
        if fullname not in UNTIL_USED | MODELS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loaders = _UntilUsed if fullname in UNTIL_USED else _Models
            spec.loader = loaders(spec.loader)
        return spec


class _Wrapped(Loader):
    """A loader in the place of another one."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)


class _UntilUsed(_Wrapped):
    def __init__(self, loader: Loader) -> None:
        super().__init__(loader)
        self._lock = RLock()
        self._is_loading = False

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Unused

    def load(self, module: ModuleType) -> None:
        """Runs the code of the package, unless it has run. Other threads wait meanwhile. What the code asks of its
        own package is there or is not, as in any import."""
        with self._lock:
            if self._is_loading or type(module) is ModuleType:
                return
            self._is_loading = True
            try:
                self.loader.exec_module(module)
            finally:
                self._is_loading = False
            module.__class__ = ModuleType


class _Unused(ModuleType):
    """A package of which only its version, or the modules inside it, have been asked for."""

    def __getattr__(self, name: str) -> object:
        if name == "__version__":
            with suppress(ModuleNotFoundError):
                return import_module(f"{self.__name__}.version").__version__
        elif name.startswith("__"):  # the import system looks for some, and takes no for an answer
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        assert self.__spec__ is not None
        assert isinstance(self.__spec__.loader, _UntilUsed)
        self.__spec__.loader.load(self)
        return ModuleType.__getattribute__(self, name)


class _Models(_Wrapped):
    def exec_module(self, module: ModuleType) -> None:
        from pydantic import BaseModel, RootModel

        # Each has a configuration of its own, and what is derived from it inherits that.
        usual = [(base, base.model_config) for base in (BaseModel, RootModel)]
        for base, config in usual:
            base.model_config = {**config, "defer_build": True}
        try:
            self.loader.exec_module(module)
        finally:
            for base, config in usual:
                base.model_config = config
