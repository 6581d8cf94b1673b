"""Templates and static files, all from the package. A static file's name holds its hash, so it may be cached."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from registry.console import formatting

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    content: bytes
    media_type: str


@cache
def load_assets() -> tuple[Mapping[str, Asset], Mapping[str, str]]:
    """Return the static files by their hashed names, and these by the names they have here."""
    assets, hashed = {}, {}
    for file in resources.files("registry.console").joinpath("static").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix not in _TYPES:
            continue
        content = file.read_bytes()
        name = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        assets[name], hashed[file.name] = Asset(content, _TYPES[suffix]), name
    return assets, hashed


@cache
def load_templates() -> Environment:
    """Return the templates, compiled. Whatever is put into one is text; a name that was not given is an error."""
    environment = Environment(
        loader=PackageLoader("registry.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "state": formatting.show_state,
        "age": formatting.show_age,
        "cost": formatting.show_cost,
        "moment": formatting.show_told_moment,
        "duration": formatting.show_duration,
        "id": formatting.show_id,
        "pretty": formatting.show_json,
        "number": formatting.show_number,
        "part": formatting.in_path,
    }
    _, hashed = load_assets()
    environment.globals["static"] = lambda name: f"/console/static/{hashed[name]}"
    environment.globals["ui"] = environment.get_template("macros.html").module
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
