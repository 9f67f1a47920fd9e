"""The parts of the page that need no script: words, tables, figures, provenance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

Content = Mapping[str, Any]


def filters(contents: Sequence[Content]) -> str:
    """One menu each: data set, method, mode, protocol. What has a single value needs no menu."""

    def all_of(key: str) -> list[str]:
        return list(dict.fromkeys(value for content in contents for value in content[key]))

    menus = {
        "set": ("Data set", [content["dataset"] for content in contents], ""),
        "method": ("Method", all_of("methods"), ""),
        "mode": ("Mode", all_of("modes"), ""),
        "protocol": ("Protocol", all_of("protocols"), "strict"),
    }
    return "".join(_menu(key, *menu) for key, menu in menus.items() if len(menu[1]) > 1)


def _menu(key: str, title: str, values: Sequence[str], chosen: str) -> str:
    options = "".join(
        f'<option value="{escape(value)}"{" selected" * (value == chosen)}>{escape(value or "all")}</option>'
        for value in ("", *values)
    )
    return f'<label>{title} <select data-filter="{key}">{options}</select></label>'


def answer(content: Content) -> str:
    """Which run is best at what; the methods' questions first, the ablations' folded."""
    main = [question for question in content["questions"] if question["main"]]
    others = [question for question in content["questions"] if not question["main"]]
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in content["facts"])
    folded = f"<details><summary>Ablations</summary>{''.join(map(_question, others))}</details>" if others else ""
    return _part(content, f"{facts}{''.join(map(_question, main)) or NOTHING}{folded}")


NOTHING = "<p>Fewer than two runs were scored, so there is nothing to compare.</p>"


def _question(question: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(finding["metric"])} <small>{escape(finding["unit"])}</small></th>'
        f"<td>{_verdict(finding)} <span>{escape(' '.join(finding['beside']))}</span></td></tr>"
        for finding in question["findings"]
    )
    title = f"{question['title']} <small>{escape(question['protocol'])} protocol</small>"
    return (
        f'<section data-mode="{escape(question["mode"])}" data-protocol="{escape(question["protocol"])}">'
        f"<h4>{title}</h4><p class=headline>{escape(question['headline'])}</p>"
        f'<table class="answers"><tbody>{rows}</tbody></table></section>'
    )


def _verdict(finding: Mapping[str, Any]) -> str:
    """The sentence, with what it says at first made to stand out."""
    sentence = escape(finding["sentence"])
    first, colon, rest = sentence.partition(":")
    return f"<b>{first}</b>{colon}{rest}" if len(finding["best"]) == 1 else f"{sentence}"


def metrics(contents: Sequence[Content]) -> str:
    """What each number means, once."""
    every = {metric["title"]: metric for content in contents for metric in content["metrics"]}
    rows = "".join(
        f'<tr><th scope="row">{escape(m["title"])}</th><td>{escape(m["unit"])}</td><td>{m["better"]}</td>'
        f'<td class="words">{escape(m["source"])}</td></tr>'
        for m in every.values()
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Metric", "Unit", "Better", "Formula and source"))
    lines = dict.fromkeys(line for content in contents for line in content["reading"])
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
    )


def tables(content: Content) -> str:
    return _part(content, "".join(map(_table, content["tables"])))


def _table(table: Mapping[str, Any]) -> str:
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in table["notes"])
    return (
        f'<section data-mode="{escape("|".join(table["modes"]))}" data-protocol="{escape(table["protocol"])}">'
        f'<h4>{escape(table["title"])}</h4><div class="wide">{table["html"]}</div>{notes}</section>'
    )


def figures(content: Content, pictures: Mapping[str, str]) -> str:
    """Pictures without loss, each in a box that scrolls where the window is narrow."""
    parts = []
    for figure in content["figures"]:
        source = f"data:image/webp;base64,{pictures[content['dataset'] + '/' + figure['file']]}"
        caption = escape(figure["caption"])
        parts.append(
            f'<figure><figcaption>{caption}</figcaption><div class="wide">'
            f'<img loading="lazy" decoding="async" alt="{caption}" src="{source}"></div></figure>'
        )
    return _part(content, "".join(parts))


def missing(content: Content) -> str:
    """Cells that have no number, and why."""
    rows = "".join(
        f"<tr><td>{escape(entry['reason'])}</td><td>{escape(entry['table'])}</td>"
        f'<td class="words">{escape("; ".join(entry["cells"]))}</td></tr>'
        for entry in content["missing"]
    )
    if not rows:
        return _part(content, "<p>Every cell of every table has a number.</p>")
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Why", "Table", "Cells"))
    return _part(content, f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>')


def provenance(content: Content) -> str:
    """What made the numbers: each section as a table, and the file as it is."""
    made_by = content["provenance"]
    first = ("runs", "data")
    parts = [_section(name, made_by[name]) for name in first if name in made_by]
    parts += [_section(name, value) for name, value in made_by.items() if name not in first]
    parts.append(_section("evaluators, measured on real test frames", content["quality"]))
    raw = escape(json.dumps(made_by, indent=1))
    parts.append(f"<details><summary>provenance.json</summary><pre>{raw}</pre></details>")
    return _part(content, "".join(parts))


def _section(name: str, value: Any) -> str:
    return f'<h4>{escape(name)}</h4><div class="wide">{_shown(value)}</div>'


def _shown(value: Any) -> str:
    """A mapping of mappings is a table with a row each, another mapping has a row a key, a list is a line."""
    if isinstance(value, Mapping):
        if value and all(isinstance(inner, Mapping) for inner in value.values()):
            columns = list(dict.fromkeys(key for inner in value.values() for key in inner))
            head = "".join(f'<th scope="col">{escape(column)}</th>' for column in ("", *columns))
            body = "".join(
                _row(name, (_shown(inner[column]) if column in inner else "" for column in columns))
                for name, inner in value.items()
            )
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<table><tbody>{''.join(_row(key, [_shown(inner)]) for key, inner in value.items())}</tbody></table>"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else f"<span class=value>{escape(str(value))}</span>"


def _row(name: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _part(content: Content, inner: str) -> str:
    name = escape(content["dataset"])
    return f'<article data-set="{name}"><h3>{name}</h3>{inner}</article>'
