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
from pathlib import Path
from typing import Any

import yaml
from forked import program
from launcher.sitecustomize import COUNTER, KILL_AT, count_operations
from subject import ROOT

CODE = ("tpsm", "baselines", "eval/", "scales", "splits", "weights")
SOCKET = "forks"
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
        stage["deps"] = [path for path in stage["deps"] if not path.startswith(CODE)]
    (target / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    dvc("init", "--no-scm", "--quiet", folder=target)
    for key in ("core.analytics", "core.check_update"):
        dvc("config", key, "false", folder=target)
    shims = shared / "bin"
    if not shims.exists():
        shims.mkdir()
        for name in ("tpsm", "python"):
            (shims / name).write_text(SHIM)
            (shims / name).chmod(0o755)
        serve(shared / SOCKET)


def dvc(*arguments: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True)


def repro(shared: Path) -> int:
    """`make repro`'s own command, in the working folder; for a fork that counts operations already."""
    counter = Path("counter").absolute()
    environment = os.environ | {
        "PATH": f"{shared / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TORTURE_FORKS": str(shared / SOCKET),
        "PYTHONPATH": f"{Path(__file__).parent / 'launcher'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        COUNTER: str(counter),
        KILL_AT: os.environ.get(KILL_AT, "0"),
    }
    return subprocess.run([sys.executable, "-m", "tpsm.jobs.repro"], env=environment, check=False).returncode


def serve(address: Path) -> None:
    """A process of its own, which ends with this one."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
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
    log = os.open("../log-of-stages", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    if COUNTER in environment:
        count_operations(environment[COUNTER], int(environment[KILL_AT]))
    status = program(command)
    sys.stdout.flush()
    shim.sendall(str(status).encode())
    return status
