"""YAML, JSON, CSV, names and options."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from hostile import Case, nothing
from hostile_files import ANIMATE
from subject import OF, STAGES, SUBJECT, TPS

CONFIGURE = STAGES["configure"]
NAMES = {
    "blank": "a b",
    "slash": "a/b",
    "up": "..",
    "far up": "../../../../evil",
    "absolute": "/tmp/evil",
    "long": "n" * 300,
    "newline": "a\nb",
    "empty": "",
    "dot": ".hidden",
    "NUL": "a\0b",
    "option": "-rf",
    "backslash": "..\\..\\evil",
    "shell": "$(touch code-has-run)",
    "backticks": "`touch code-has-run`",
    "HTML": "<script>alert(1)</script>",
    "template": "{{ 7 * 7 }}",
    "surrogate": "\udce4",
    "direction": "a\u202eb",
}
REFUSED = {"NaN": float("nan"), "infinity": float("inf"), "-1": -1, "text": "seven", "list": [], "section": {}}
DOUBTFUL: dict[str, Any] = {"0": 0, "1e308": 1e308, "10^15": 10**15, "yes": True, "null": None, "10^400": 10**400}
YAMLS: dict[str, bytes] = {
    "aliases that explode": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 108)),
    "an alias of itself": b"a: &a [*a]\n",
    "a list as a key": b"? [a, b]\n: 1\n",
    "a section as a key": b"? {a: b}\n: 1\n",
    "UTF-16": "datasets: [drawn]\n".encode("utf-16"),
    "UTF-32": "datasets: [drawn]\n".encode("utf-32"),
    "5,000 digits": b"datasets: " + b"9" * 5000 + b"\n",
    "a hexadecimal of a million digits": b"datasets: 0x" + b"f" * 1_000_000 + b"\n",
    "an impossible date": b"datasets: 2026-13-45\n",
    "sexagesimal": b"datasets: " + b"59:" * 2000 + b"59\n",
    "deep lists": b"datasets: " + b"[" * 20_000 + b"]" * 20_000,
    "deep sections": b"".join(b" " * n + b"a:\n" for n in range(2000)),
    "a key twice": b"datasets: [drawn]\ndatasets: [other]\n",
    "two documents": b"datasets: [drawn]\n---\ndatasets: [other]\n",
    "a list at the top": b"- a\n- b\n",
    "a text at the top": b"hello\n",
    "NULs": b"datasets: \0\0\0\n",
    "a tab": b"datasets:\n\t- drawn\n",
    "an unclosed quote": b'datasets: "drawn\n',
    "an unknown directive": b"%YAML 9.9\n---\ndatasets: [drawn]\n",
    "a call": b"datasets: !!python/object/apply:os.system ['touch code-has-run']\n",
    "a new object": b"datasets: !!python/object/new:os.system ['touch code-has-run']\n",
    "a module": b"datasets: !!python/module:antigravity\n",
    "binary": b"datasets: !!binary aGVsbG8=\n",
    "a set": b"datasets: !!set {a, b}\n",
    "a merge of itself": b"a: &a\n  <<: *a\n",
    "a merge of a text": b"a:\n  <<: hello\n",
    "100,000 keys": b"".join(b"k%d: 1\n" % n for n in range(100_001)),
    "two megabytes": b"# " + b"x" * (2 << 20) + b"\ndatasets: [drawn]\n",
    "a byte order mark alone": b"\xef\xbb\xbf",
    "JSON cut off": b'{"datasets": ["drawn"',
    "surrogates": b'datasets: ["\\ud800"]\n',
    "a terminal's codes": b'"\\e[2J\\e]0;evil\\a": 1\n',
}
JSONS: dict[str, bytes] = {
    "deep": b"[" * 100_000,
    "deep and whole": b"[" * 900 + b"]" * 900,
    "5,000 digits": b'{"size": ' + b"9" * 5000 + b"}",
    "NaN": b'{"size": NaN}',
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "a key twice": b'{"size": 1, "size": 2}',
    "cut off": b'{"size": 64, "clips": [{"name":',
    "a byte order mark and nothing": b"\xef\xbb\xbf",
    "surrogates": b'{"size": "\\ud800"}',
}


def parameters(base: Path, rng: random.Random) -> Iterator[Case]:
    """Whatever a project meets that has been configured, and no more."""
    yield from yamls()
    yield from values(rng)
    yield from names()
    yield from options()


def texts(base: Path, rng: random.Random) -> Iterator[Case]:
    yield from jsons(base)
    yield from tables()


def yamls() -> Iterator[Case]:
    for what, content in YAMLS.items():
        yield Case(f"YAML of {what} as params.yaml", CONFIGURE, partial(_write, "params.yaml", content))
        place = "configs/drawn/runs/tps.yaml"
        yield Case(f"YAML of {what} as a run", STAGES["train"], partial(_write, place, content))


def values(rng: random.Random) -> Iterator[Case]:
    """Numbers of params.yaml, each replaced by what is none, or makes no sense; a hundred of them, drawn."""
    made = []
    for keys in _numbers(SUBJECT["scales"]["tiny"]["tps"], ("scales", "tiny", "tps")):
        for what, value in (REFUSED | DOUBTFUL).items():
            params = copy.deepcopy(SUBJECT)
            inner: Any = params
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = value
            content = yaml.safe_dump(params).encode()
            name = f"{what} as {'.'.join(map(str, keys))}"
            made.append(Case(name, CONFIGURE, partial(_write, "params.yaml", content), what in DOUBTFUL))
    yield from rng.sample(made, min(100, len(made)))


def _numbers(value: Any, keys: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if isinstance(inner, (int, float)):
            yield (*keys, key)
        yield from _numbers(inner, (*keys, key))


def names() -> Iterator[Case]:
    """Of data sets and runs: in params.yaml, and as options."""
    for what, name in NAMES.items():
        dataset = SUBJECT | {"datasets": [name], "data": {name: SUBJECT["data"]["drawn"]}}
        run = SUBJECT | {"runs": ["tps", name], "run": SUBJECT["run"] | {name: {"method": "tps", "label": "X"}}}
        for key, params in (("data set", dataset), ("run", run)):
            spoil = partial(_write, "params.yaml", json.dumps(params).encode())
            yield Case(f"name ({what}) of a {key}", CONFIGURE, spoil)
        if "\0" in name:
            continue  # no command line can hold it
        yield Case(f"name ({what}) as --dataset", ("tpsm", "prepare", f"--dataset={name}"), nothing)
        yield Case(f"name ({what}) as --run", ("tpsm", "reconstruct", *OF, f"--run={name}"), nothing)
        yield Case(f"name ({what}) as eval's --run", ("eval", "score", *OF, f"--run={name}"), nothing)
        yield Case(f"name ({what}) as eval's --dataset", ("eval", "report", f"--dataset={name}"), nothing)
        yield Case(f"name ({what}) of a split", ("tpsm", "split", "make", "--", "drawn", name), nothing)


def jsons(base: Path) -> Iterator[Case]:
    places = {
        "data/clips/drawn/manifest.json": STAGES["reconstruct"],
        "models/drawn/tps/summary.json": STAGES["report"],
        "outputs/drawn/tps/reconstruction/model.json": STAGES["score"],
        "evaluators/drawn/quality.json": STAGES["report"],
        "pages/drawn/content.json": STAGES["page"],
        "key.json": ("eval", "study", "read", "votes.json", "--key", "key.json"),
    }
    for place, command in places.items():
        for what, content in JSONS.items():
            yield Case(f"JSON ({what}) as {place}", command, partial(_write, place, content))
    key = {"study": "s", "dataset": "../..", "mode": "relative", "runs": {"tps": "T"}, "items": [], "sheets": []}
    for what, change in {
        "a data set above": {},
        "a run above": {"dataset": "drawn", "runs": {"../../x": "T"}},
        "items that are a text": {"dataset": "drawn", "items": "all"},
        "a mode that is none": {"dataset": "drawn", "mode": "<b>"},
        "another format": {"dataset": "drawn", "format": 99},
        "sheets of what is no item": {"dataset": "drawn", "sheets": [[{"item": "i", "left": "l"}]]},
    }.items():
        content = json.dumps({**key, "format": 1, **change}).encode()
        yield Case(f"study's key with {what}", places["key.json"], partial(_write, "key.json", content))
    manifest = json.loads((base / "data/clips/drawn/manifest.json").read_text())
    for field, values in {
        "name": ["../../evil", 7, None, "x" * 5000],
        "identity": [["a"], None],
        "split": ["../test", "valid", None],
        "frames": [0, -1, 10**12, 1.5, "4", True],
        "width": [0, -64, 10**9],
        "fps": [float("nan"), float("inf"), -1, 0, 1e308, "25"],
        "sha256": [None, 7],
        "has_truth": ["perhaps"],
    }.items():
        for value in values:
            changed = copy.deepcopy(manifest)
            changed["clips"][-1][field] = value
            spoil = partial(_write, "data/clips/drawn/manifest.json", json.dumps(changed).encode())
            yield Case(f"manifest's {field} of {value!s:.20}", STAGES["reconstruct"], spoil)


def tables() -> Iterator[Case]:
    """Tables: a published split, whose first line may be right or wrong, and the pairs of an animation."""
    header = "clip,split,sha256\n"
    for what, text in {
        "a column missing": "clip,sha256\na,\n",
        "a column twice": "clip,clip,split,sha256\na,b,test,\n",
        "a row too long": header + "a,test,,more\n",
        "a row too short": header + "a\n",
        "another split": header + "a,valid,\n",
        "a clip twice": header + "a,test,\na,train,\n",
        "a clip above": header + "../../evil,test,\n",
        "an open quote": header + '"a,test,\n',
        "a NUL": header + "a\0,test,\n",
        "a giant cell": header + "a" * 300_000 + ",test,\n",
        "its header alone": header,
    }.items():
        # A clip may be called anything; that there is none of that name is for `prepare` to say.
        yield Case(f"split with {what}", CONFIGURE, partial(_split, text), what == "a clip above")
        path = "outputs/drawn/tps/animation/standard/pairs.csv"
        pairs = text.replace("clip,split,sha256", "pair,source,driving")
        # Where there is one identity, there are no pairs.
        spoil = partial(_write, path, pairs.encode())
        yield Case(f"pairs with {what}", STAGES["score"], spoil, what == "its header alone")


def _split(text: str, folder: Path) -> None:
    whole = f"# sha256 {sha256(text.encode()).hexdigest()}\n{text}"
    _write("splits/drawn/own-v1.csv", whole.encode(), folder)
    params = SUBJECT | {"data": {"drawn": {**SUBJECT["data"]["drawn"], "split": "own-v1"}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def options() -> Iterator[Case]:
    for value in ("inf", "nan", "-1", "1e999999999", "9" * 5000, "", "0x10", "seven"):
        yield Case(f"--pause {value:.12}", ("tpsm", "fetch", *OF, f"--pause={value}"), nothing)
        yield Case(f"--tflops {value:.12}", ("tpsm", "cost", "drawn", "tps", f"--tflops={value}"), nothing)
        yield Case(f"--workers {value:.12}", ("tpsm", "prepare", *OF, f"--workers={value}"), nothing)
        yield Case(
            f"--source-frame {value:.12}", (*ANIMATE, "--source=s", "--driving=d", f"--source-frame={value}"), nothing
        )
        yield Case(f"--every {value:.12}", ("eval", "fid", "--real=a", "--generated", "b", f"--every={value}"), nothing)
    for out in ("/proc/evil.mp4", "/dev/full", "models", "o.txt", "", "missing/\0", "a" * 300 + ".mp4"):
        if "\0" not in out:
            command = (*ANIMATE[:-1], out, "--source", "data/raw/drawn", "--driving", "data/raw/drawn")
            yield Case(f"--out {out:.20}", command, nothing)
    for path in ("", "..", "/proc/self/mem", "/dev/stdin", "a" * 5000, "\n", "--run"):
        yield Case(f"import of {path!r:.20}", ("tpsm", "import", *TPS, "--", path), nothing)
        yield Case(f"compare of {path!r:.20}", ("eval", "compare", "--", path, path), nothing)


def _write(place: str, content: bytes, folder: Path) -> None:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
