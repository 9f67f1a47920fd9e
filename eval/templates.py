"""Markdown and HTML from Jinja templates, in which no value brings markup of its own."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(package: str, name: str, **values: Any) -> str:
    """The template `name` of `package`. Values are escaped as its suffix asks, .html or .md, but for `Markup`."""
    return _environment(package, name.rpartition(".")[2]).get_template(name).render(values)


def escape_markdown(value: Any) -> str:
    """One line of text that begins no HTML tag, no link and no image, and is otherwise as it was: `p < .001` stays."""
    line = " ".join(str(value).split("\n")).replace("\r", " ")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line).replace("](", r"]\(")


@cache
def _environment(package: str, suffix: str) -> Environment:
    loader = PackageLoader(package, "")
    html = suffix == "html"
    environment = Environment(
        loader=loader,
        autoescape=html,
        finalize=None if html else lambda value: value if isinstance(value, Markup) else escape_markdown(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # JSON goes into pages without spaces, and the same every time; `tojson` lets it end no element.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False, "separators": (",", ":")}
    environment.globals["asset"] = lambda name: Markup(loader.get_source(environment, name)[0])  # styles and scripts
    return environment
