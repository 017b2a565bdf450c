"""Pages from templates.

All that is put into a page is escaped by Jinja2, and a page forbids its browser all but its own styles and scripts, the
latter by their hash, and pictures beside it: a name that were to slip through as markup could still neither run nor
load anything.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = {
    "index": "index.js",
    "views": "index.js",
    "run": "run.js",
    "images": "images.js",
}  # of other pages there is none


def page(name: str, **values: Any) -> str:  # noqa: ANN401 - whatever its template shows
    """The page of a template (`NAME.html.j2`) with its styles and its script inside, ending in a newline."""
    script = _asset(SCRIPTS[name]) if name in SCRIPTS else ""
    template = _environment().get_template(f"{name}.html.j2")
    return template.render(style=_asset("style.css"), script=script, policy=_policy(script), **values) + "\n"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    """Our own text, which templates put in as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _policy(script: str) -> str:
    """The Content-Security-Policy of a page with this script. `file:` is what 'self' means on disk."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src 'self' file: data:; "
        "base-uri 'none'; form-action 'none'"
    )
