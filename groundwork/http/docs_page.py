"""A page that shows an OpenAPI document to people. It loads nothing from anywhere."""

from collections.abc import Mapping
from html import escape
from typing import Any

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }
table { border-collapse: collapse; width: 100% } td { padding: .3rem .6rem .3rem 0; vertical-align: top }
tr { border-bottom: 1px solid #ddd } code { font-size: .9em } .method { font-weight: 600; width: 5rem }
@media (prefers-color-scheme: dark) {
  body { background: #161616; color: #eee } tr { border-color: #444 } a { color: #9cf }
}
"""


def docs_page(title: str, document: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Return the page: the routes by their tags, and links to what programs read."""
    listed = "".join(f'<li><a href="{escape(path)}">{escape(what)}</a></li>' for what, path in links.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{escape(title)}</h1><ul>{listed}</ul>{_sections(document)}</main></body></html>"
    )


def _sections(document: Mapping[str, Any]) -> str:
    rows: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            what = operation.get("description") or operation.get("summary", "")
            rows.setdefault(tag, []).append(
                f'<tr><td class="method">{escape(method.upper())}</td><td><code>{escape(path)}</code></td>'
                f"<td>{escape(what)}</td></tr>"
            )
    return "".join(f"<h2>{escape(tag)}</h2><table>{''.join(each)}</table>" for tag, each in rows.items())
