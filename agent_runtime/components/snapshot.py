"""What turns work with, frozen: a turn keeps the snapshot that it began with."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool

from agent_runtime.project.slots import Kind, Slot
from agent_runtime.project.template import Template
from agent_runtime.tools.naming import with_unique_names
from agent_runtime.tools.source import Source

Part = BaseChatModel | Template | Source
Status = Literal["ready", "fallback", "failed"]

_STATUS_GROUPS: dict[Kind, str] = {"mcp": "mcp", "agent": "a2a"}


@dataclass(frozen=True, eq=False)
class Piece:
    """What stands in a slot. Without a `version` it is the project's own; `error` is why it is not what the
    registry says that it should be, or why there is nothing."""

    slot: Slot
    part: Part | None
    version: int | None = None
    digest: str | None = None
    error: str | None = None

    @property
    def status(self) -> Status:
        if self.error is not None:
            return "failed"
        return "fallback" if self.version is None else "ready"

    def is_as(self, other: "Piece") -> bool:
        """Whether turns would notice no difference."""
        return self.part is other.part and self.digest == other.digest


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The pieces of one generation, in the order of the project. Its tools come and go with their servers; which
    servers they are stays as it is."""

    generation: int
    pieces: tuple[Piece, ...]

    @property
    def model(self) -> BaseChatModel:
        return next(piece.part for piece in self.pieces if isinstance(piece.part, BaseChatModel))

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(piece.part for piece in self.pieces if isinstance(piece.part, Source))

    @property
    def tools(self) -> tuple[BaseTool, ...]:
        return with_unique_names(tool for source in self.sources for tool in source.tools)

    def prompts(self, *, agent_id: str, agent_name: str, caller: str) -> dict[str, str]:
        """Every prompt, by its name in the project."""
        values = {"agent_id": agent_id, "agent_name": agent_name, "caller": caller, "date": _today()}
        templates = {piece.slot.name: piece.part for piece in self.pieces if isinstance(piece.part, Template)}
        return {name: template.render(values) for name, template in templates.items()}

    def refs(self) -> list[Piece]:
        """The pieces that the registry has a say in."""
        return [piece for piece in self.pieces if piece.slot.component_id is not None]

    def with_pieces(self, pieces: tuple[Piece, ...]) -> "Snapshot":
        """The snapshot that follows; it has a new generation when turns would notice."""
        changed = not all(new.is_as(old) for new, old in zip(pieces, self.pieces, strict=True))
        return replace(self, pieces=pieces, generation=self.generation + changed)

    def status(self) -> dict[str, dict[str, dict[str, Any]]]:
        """How the servers and peers are, as `/status` shows it."""
        states: dict[str, dict[str, dict[str, Any]]] = {"mcp": {}, "a2a": {}}
        for piece in self.pieces:
            if group := _STATUS_GROUPS.get(piece.slot.kind):
                states[group][piece.slot.name] = _state(piece)
        return states


def describe_ref(piece: Piece) -> dict[str, Any]:
    """A reference as the admin API and the registry are told of it."""
    described = {
        "kind": piece.slot.kind,
        "id": piece.slot.component_id,
        "version": piece.version,
        "digest": piece.digest,
        "status": piece.status,
    }
    return described | ({"error": piece.error} if piece.error is not None else {})


def _state(piece: Piece) -> dict[str, Any]:
    if isinstance(piece.part, Source):
        state = piece.part.state()
    else:
        state = {"connected": False, "status": "unavailable", "last_error": piece.error}
    if piece.slot.component_id is None:
        return state
    component = {key: value for key, value in describe_ref(piece).items() if key not in ("kind", "digest")}
    return state | {"component": component}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
