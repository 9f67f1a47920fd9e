"""`dvc repro` of the small project: the repository's own dvc.yaml, whose commands a server of forks runs.

A real start of every command would take minutes each time. `tpsm` and `python` on the PATH are `shim.py`, which hands
the command to the server; what it forks joins the shim's process group, and dies with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from forked import program
from launcher.sitecustomize import COUNTER, KILL_AT, count_operations
from subject import ROOT

CODE = ("tpsm", "baselines", "eval", "scales", "splits", "weights")
"""Folders of the repository that stages depend on."""
SOCKET, LOG = "forks", "log-of-stages"
CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
REPRO = (sys.executable, "-m", "tpsm.jobs.repro")
SHIM = f"""#!{sys.executable} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(os.environ["TORTURE_FORKS"])
arguments = sys.argv[1:] if sys.argv[0].endswith("tpsm") else sys.argv[3:]
name = "tpsm" if sys.argv[0].endswith("tpsm") else "eval"
about = [[name, *arguments], os.getcwd(), os.getpgrp(), dict(os.environ)]
server.sendall(json.dumps(about).encode() + b"\\n")
answer = server.recv(100)
sys.exit(int(answer or b"99"))
"""


def make_ready(target: Path, shared: Path) -> None:
    """Makes the project `target` one that DVC can run, by shims in `shared`.

    What its stages depend on is the data alone, for the code does not change here.
    """
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        stage["deps"] = [path for path in stage.get("deps", ()) if path.split("/")[0] not in CODE]
    (target / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (target / ".dvc").mkdir()
    (target / ".dvc/config").write_text(CONFIG)
    serve(shared)


def repro(shared: Path, *arguments: str) -> int:
    """`make repro`'s own command, in the working folder; for a fork that counts operations already."""
    return subprocess.run([*REPRO, *arguments], env=environment(shared, Path.cwd()), check=False).returncode


def environment(shared: Path, folder: Path) -> dict[str, str]:
    """That of the command in a project's `folder`: commands go to the server, and file operations are counted."""
    return os.environ | {
        "PATH": f"{shared / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TORTURE_FORKS": str(shared / SOCKET),
        "PYTHONPATH": f"{Path(__file__).parent / 'launcher'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        COUNTER: str(folder.absolute() / "counter"),
        KILL_AT: os.environ.get(KILL_AT, "0"),
    }


@cache
def serve(shared: Path) -> None:
    """Starts a process of its own, which ends with this one."""
    for name in ("tpsm", "python"):
        shim = shared / "bin" / name
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(SHIM)
        shim.chmod(0o755)
    (shared / SOCKET).unlink(missing_ok=True)  # an earlier run's
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(shared / SOCKET))
    listener.listen()
    parent = os.getpid()
    if os.fork():
        listener.close()
        return
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener.settimeout(1)
    while os.getppid() == parent:
        try:
            shim, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_answer(shim))
        shim.close()
    os._exit(0)


def _answer(shim: socket.socket) -> int:
    """Does what the shim asks for, as a member of its process group."""
    command, folder, group, environment = json.loads(shim.makefile().readline())
    try:
        os.setpgid(0, group)
    except OSError:  # It has been killed meanwhile.
        return 1
    os.chdir(folder)
    log = os.open(Path("..", LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    if COUNTER in environment:
        count_operations(environment[COUNTER], int(environment[KILL_AT]))
    status = program(command)
    sys.stdout.flush()
    shim.sendall(str(status).encode())
    return status
