"""The program `tpsm` in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from tpsm.cli.main import app


def tpsm(*arguments: str) -> str:
    """What the command prints; it must end well."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
