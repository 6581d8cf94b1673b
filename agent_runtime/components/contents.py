"""The content of a registry's component, read into what it stands for here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.errors import BadProject
from agent_runtime.project.outbound import OutboundReader
from agent_runtime.project.slots import Model, Prompt, Slot, Spec
from agent_runtime.project.template import BadTemplate, parse_template
from agent_runtime.project.toml_tables import Table

WITHHELD = frozenset({"A2A_TOKENS", "ADMIN_TOKEN", "POSTGRES_DSN", "REGISTRY_TOKEN"})
"""Variables that no component gets: whoever writes components is not whoever operates the agent."""


class ComponentUnusable(Exception):
    """A component cannot be used here; the message says why, and shows no secret."""


@dataclass(frozen=True)
class Read:
    """A component as it is to be built, and the values that appear in no answer, log line or error."""

    spec: Spec
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class ContentReader:
    """Reads contents for the agent of one directory. With `commands`, an MCP server may be one that we start."""

    directory: Path
    commands: bool = True

    def read(self, slot: Slot, content: Mapping[str, Any], environment: Mapping[str, str]) -> Read:
        """Raises `ComponentUnusable` naming the field. `${NAME}` takes its value from `environment`."""
        reader = OutboundReader(self.directory, environment, withheld=WITHHELD)
        table = Table("", "", dict(content))
        try:
            spec = self._spec(slot, table, reader)
        except BadProject as error:
            raise ComponentUnusable(str(error)) from None
        secrets = [*reader.secrets, *([slot.token] if slot.token else [])]
        return Read(spec, tuple(secrets))

    def _spec(self, slot: Slot, table: Table, reader: OutboundReader) -> Spec:
        match slot.kind:
            case "model":
                return _model(table, reader)
            case "prompt":
                return _prompt(table)
            case "mcp":
                if table.has("command") and not self.commands:
                    table.refuse("command", "is not run here: COMPONENT_COMMANDS_ENABLED is false")
                return reader.mcp_server(slot.name, table, reader.timeout(table) or slot.timeout_seconds)
            case "agent":
                return reader.peer_at(slot.name, table, slot.token, slot.timeout_seconds)


def _model(table: Table, reader: OutboundReader) -> Model:
    given = table.rest()
    spec = given.pop("model", None)
    if not isinstance(spec, str) or (spec and not all(spec.partition(":")[::2])):
        table.refuse("model", "must be provider:name, such as openai:gpt-4.1-mini, or empty for the offline model")
    return Model(spec, {name: _expanded(table, reader, name, value) for name, value in given.items()})


def _expanded(table: Table, reader: OutboundReader, name: str, value: Any) -> Any:
    match value:
        case str():
            return reader.text(table, name, value)
        case list():
            return [_expanded(table, reader, f"{name}[{index}]", item) for index, item in enumerate(value)]
        case dict():
            return {key: _expanded(table, reader, f"{name}.{key}", item) for key, item in value.items()}
    return value


def _prompt(table: Table) -> Prompt:
    try:
        template = parse_template(table.text("template"))
    except BadTemplate as error:
        table.refuse("template", str(error))
    return Prompt(template)
