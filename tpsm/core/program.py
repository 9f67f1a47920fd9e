"""How both programs end: their exit status, and one sentence on what the user can mend."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from tpsm.core.errors import UserError


def exit_status(app: Callable[..., Any], name: str, arguments: Sequence[str] | None, prefix: str = "") -> int:
    """Run a typer application, called `name` in its help, with `arguments` (None: those of the command line).

    Returns:
        0; the status that a command ends with; 2 after one sentence on standard error about wrong usage or a
        `UserError`, which `prefix` comes before.
    """
    try:
        app(args=arguments, prog_name=name)
    except UserError as error:
        print(f"{prefix}{error}", file=sys.stderr)
        return 2
    except SystemExit as end:
        return int(end.code or 0)
    return 0
