"""Documents that commands are given in files: JSON, or YAML."""

from pathlib import Path
from typing import Any

import typer

from groundwork.command import CANNOT, complain
from registry.cli.common import PROGRAM

STDIN = Path("-")


def read_documents(file: Path) -> list[Any]:
    """The documents in the file, of which YAML may have several; `-` is standard input. Raises `typer.Exit`."""
    try:
        data = typer.get_binary_stream("stdin").read() if file == STDIN else file.read_bytes()
        return _parse(data, as_yaml=file.suffix in (".yaml", ".yml") or file == STDIN)
    except (OSError, ValueError) as error:
        complain(PROGRAM, f"{file}: {error}")
        raise typer.Exit(CANNOT) from None


def read_document(file: Path) -> dict[str, Any]:
    """The one object in the file. Raises `typer.Exit`."""
    documents = read_documents(file)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        complain(PROGRAM, f"{file}: there is no object in it, or more than one")
        raise typer.Exit(CANNOT)
    return documents[0]


def _parse(data: bytes, *, as_yaml: bool) -> list[Any]:
    """Raises `ValueError` for what cannot be read as JSON."""
    import yaml

    from groundwork.http.json_body import BadJson, parse_json, to_json

    try:
        if not as_yaml:
            return [parse_json(data)]
        # By way of JSON, so that nothing is in it that JSON lacks, such as dates.
        return [parse_json(to_json(document)) for document in yaml.safe_load_all(data)]
    except (BadJson, yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
