"""Lets mkdocs build these pages: a link out of docs/, which works on GitHub, is the file's name on the site."""

import re
from typing import Any

OUT = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)[^)\s]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns the page with `[text](../path)` as the text, and the path in brackets unless the text has it."""
    return OUT.sub(lambda link: link[1] if link[2] in link[1] else f"{link[1]} (`{link[2]}`)", markdown)
