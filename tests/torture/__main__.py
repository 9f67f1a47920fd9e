"""`python tests/torture`: kills and hostile inputs; exit status 1 where it finds something. See docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parent / "pipeline"), str(HERE.parents[1])]


def main() -> int:
    options = parser().parse_args()
    from forked import preload
    from inputs import Inputs
    from kills import Kills

    preload()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as made:
        folder = (options.folder or Path(made)).resolve()
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
        kills, inputs = Kills(folder, options.seed), Inputs(folder, options.seed)
        for only in options.only or [None]:
            if options.kills or options.every:
                kills.run(options.kills, only, options.every)
        for kind in options.kind or [None]:
            if options.inputs:
                inputs.run(options.inputs, kind)
    findings = [*kills.findings, *inputs.findings]
    print(f"{kills.done} kills, {inputs.done} inputs, {len(findings)} findings, {time.monotonic() - began:.0f} s")
    return int(bool(findings))


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python tests/torture", description=__doc__)
    options.add_argument("--kills", type=int, default=50, metavar="N", help="how many (default: %(default)s)")
    options.add_argument("--only", nargs="+", metavar="SUBJECT", help="kill these alone, as `score` or `dvc repro`")
    options.add_argument("--every", action="store_true", help="kill before every file operation")
    options.add_argument("--inputs", type=int, default=10_000, metavar="N", help="at most so many (default: all)")
    options.add_argument("--kind", nargs="+", help="of parameters, texts, files, media, weights and scores")
    options.add_argument("--folder", type=Path, help="work there, and take again the whole project that is there")
    options.add_argument("--seed", type=int, default=0, help="of the moments and of the inputs that are drawn")
    return options


if __name__ == "__main__":
    sys.exit(main())
