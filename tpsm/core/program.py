"""Ends both programs in the same way: with an exit status, and one sentence on what the user can mend."""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tpsm.core.errors import UserError

ERRORS = Path(".work/errors")
"""The folder of tracebacks of unforeseen errors, one file each."""
UNFORESEEN = 3
APPLICATION: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"max_content_width": 120},
}
"""How typer makes both programs."""
log = logging.getLogger(__name__)


def exit_status(app: Callable[..., Any], name: str, arguments: Sequence[str] | None, prefix: str = "") -> int:
    """Runs a typer application, called `name` in its help, with `arguments` (None: those of the command line).

    Returns:
        0, or the status that a command ends with; 2 after one sentence on standard error about wrong usage, a
        `UserError` or a file that the system refuses; 3 after one sentence about an unforeseen error. `prefix` comes
        before these sentences.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # A file's name may hold what the terminal's encoding cannot say.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name=name)
    except UserError as error:
        sentence, status = str(error), 2
    except UnicodeEncodeError as error:
        bytes_of_a_name = error.encoding == "utf-8" and any("\udc80" <= c <= "\udcff" for c in error.object)
        sentence, status = (_of_name(error), 2) if bytes_of_a_name else (_unforeseen(error), UNFORESEEN)
    except OSError as error:
        sentence, status = _of_system(error), 2
    except Exception as error:
        sentence, status = _unforeseen(error), UNFORESEEN
    except SystemExit as end:
        return int(end.code or 0)
    else:
        return 0
    print(f"{prefix}{_one_line(sentence)}", file=sys.stderr)
    return status


def _of_name(error: UnicodeEncodeError) -> str:
    """Words the system's way of handing over bytes that are no UTF-8, which no file and no library takes."""
    named = str(_worked_on(error) or error.object).encode("utf-8", "backslashreplace").decode()
    return f"The name of {named:.200} is no UTF-8 text; rename the file, and type the same command again."


def _of_system(error: OSError) -> str:
    """Words an error of the system: a full disk, a folder that may not be written, a network that is down."""
    file = next((name for name in (error.filename2, error.filename) if name is not None), None) or _worked_on(error)
    what = error.strerror or str(error) or type(error).__name__
    return f"{file or 'A file'}: {what}; mend that, and type the same command again. {_kept(error)}"


def _unforeseen(error: Exception) -> str:
    file = _worked_on(error)
    at = f" at {file}" if file else ""
    what = str(error).strip().split("\n")[0][:200]
    said = f"{type(error).__name__}: {what}" if what else type(error).__name__
    return f"This program stumbled{at} over what it does not expect ({said}). {_kept(error)}"


def _worked_on(error: BaseException) -> object:
    """Returns what the error itself names, or else the file that our function nearest to the fault had at hand."""
    if (said := error.__dict__.get("working_on")) is not None:
        return said
    found: Path | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("tpsm", "eval", "baselines"):
            own = getattr(frame.f_locals.get("self"), "path", None)
            named = [value for value in (own, *frame.f_locals.values()) if isinstance(value, Path)]
            found = next((path for path in reversed(named) if path.suffix), found)
    return found


def _kept(error: BaseException) -> str:
    """Writes the traceback where it can be looked up, and says where that is."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (ERRORS, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="replace")
        except OSError as refused:
            log.debug("%s cannot be written: %s", folder, refused)
        else:
            return f"Details for the program's makers are in {folder / name}."
    return "No details could be written."


def _one_line(sentence: str) -> str:
    """Removes line ends and terminal codes, which a file's name or a server's answer may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in sentence).split())
