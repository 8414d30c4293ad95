"""`documents.html`: every text with its gold and predicted mentions, on one offline page.

The page carries the documents as JSON and builds the text of one only when it comes near the
screen, so some thousand of them neither hold up its opening nor a change of a filter. The price is
that the browser's own search sees only what is built; the page has one that sees everything.

Layout of the JSON, which `documents.js` reads:

* `kinds`, `about`: error kinds and what they mean (`scoring.kinds`); `labels`, `tags`: labels and
  their shortest unambiguous beginnings; `sides`: the names of `SIDES`.
* `documents`: id, language, text, whether there is gold, marks, and of each error its kind.
* A mark: start and end in code points, label, side, its error or -1, and its score where it has
  one. Labels, sides, errors and kinds are places in the lists above.

The page holds the texts whole: it is only for eyes that may read the corpus. (Issue 4.)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.document import Span
from multiclin.pages import write_page
from multiclin.scoring.kinds import ABOUT, KINDS, ErrorCase

SIDES: Mapping[str, str] = {
    "right": "predicted, and in gold",
    "wrong": "predicted, not in gold",
    "missing": "in gold, not predicted",
    "found": "predicted, where there is no gold",
}
"""What a mark may be."""

_RIGHT, _WRONG, _MISSING, _FOUND = range(len(SIDES))
_NO_ERROR = -1
_SHORTEST_TAG = 3
_KEYS = {
    "<kbd>/</kbd>": "search",
    "<kbd>Esc</kbd>": "leave the search, close what is open",
    "<kbd>?</kbd>": "keys and marks",
}
_ERROR_KEYS = {
    "<kbd>n</kbd> or <kbd>j</kbd>": "next error",
    "<kbd>p</kbd> or <kbd>k</kbd>": "previous error",
}


def write_documents(path: Path, title: str, evaluation: Evaluation) -> None:
    """Write the page of all documents of an evaluation; an older one is replaced.

    Documents without gold show their predicted mentions alone, and no errors.

    Args:
        path: The file. `#` and the id of a document behind its name open it at that document.
        title: Of the window, and the heading of the page.
        evaluation: Any number of documents, with any labels, with or without gold.

    Raises:
        OutputError: It cannot be written.
    """
    content = _content(evaluation)
    # Only a `<` could end its element early; JSON itself escapes control characters.
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", r"\u003c")
    body = [
        f"<p>{escape(_summary(evaluation, content))}</p>",
        "<noscript><p>This page needs JavaScript to show its documents.</p></noscript>",
        _controls(content),
        '<main></main><div id="tip" role="tooltip" hidden></div>',
        _help(content),
        f'<script type="application/json" id="data">{data}</script>',
    ]
    style, script = (
        Path(__file__).with_suffix(suffix).read_text("utf-8") for suffix in (".css", ".js")
    )
    write_page(path, title, "".join(body), style=style, script=script)


def _content(evaluation: Evaluation) -> dict[str, Any]:
    spans = (span for pair in evaluation.pairs for side in pair for span in side.spans)
    labels = sorted({span.label for span in spans}.union(evaluation.labels))
    return {
        "kinds": KINDS,
        "about": [ABOUT[kind] for kind in KINDS],
        "labels": labels,
        "tags": [_tag(label, labels) for label in labels],
        "sides": list(SIDES),
        "documents": [
            _document(pair, cases if pair.gold.annotated else [], labels)
            for pair, cases in zip(evaluation.pairs, evaluation.cases, strict=True)
        ],
    }


def _document(pair: Pair, cases: Sequence[ErrorCase], labels: Sequence[str]) -> list[Any]:
    gold, predicted = pair
    wanted, found = frozenset(gold.spans), _surest(predicted.spans)
    marks: list[tuple[Span, int, int]]
    if gold.annotated:
        marks = [(span, _RIGHT, _NO_ERROR) for span in found if span in wanted]
    else:
        marks = [(span, _FOUND, _NO_ERROR) for span in found]
    for place, case in enumerate(cases):
        marks += [(span, _MISSING, place) for span in case.gold]
        marks += [(span, _WRONG, place) for span in case.predicted]
    marks.sort(key=lambda mark: (mark[0].start, -mark[0].end))  # Outer ones first.
    return [
        gold.id,
        gold.language,
        gold.text,
        int(bool(gold.annotated)),
        [_mark(span, side, case, labels) for span, side, case in marks],
        [KINDS.index(case.kind) for case in cases],
    ]


def _mark(span: Span, side: int, case: int, labels: Sequence[str]) -> list[float]:
    score = [] if span.score is None else [round(span.score, 3)]
    return [span.start, span.end, labels.index(span.label), side, case, *score]


def _surest(spans: Iterable[Span]) -> list[Span]:
    """Each span once, with its highest score."""
    by_score = sorted(spans, key=lambda span: span.score or 0.0)
    return list({span: span for span in by_score}.values())


def _tag(label: str, labels: Sequence[str]) -> str:
    """The beginning of a label that no other one shares, three letters or more.

    Example:
        >>> _tag("PROCEDURE", ["DISEASE", "PROCEDURE", "PROCESS"])
        'PROCED'
    """
    beginnings = (label[:length] for length in range(_SHORTEST_TAG, len(label)))
    alone = (one for one in beginnings if sum(other.startswith(one) for other in labels) == 1)
    return next(alone, label)


def _is_judged(content: Mapping[str, Any]) -> bool:
    """Whether any document has gold."""
    return any(judged for _, _, _, judged, _, _ in content["documents"])


def _summary(evaluation: Evaluation, content: Mapping[str, Any]) -> str:
    """One line: what was looked at, and what came out."""
    where = f"{evaluation.name}, {evaluation.split}" if evaluation.split else evaluation.name
    documents = content["documents"]
    counts = Counter(mark[3] for *_, marks, _ in documents for mark in marks)
    mentions = ", ".join(
        f"{counts[side]:,} {name}" for side, name in enumerate(SIDES) if counts[side]
    )
    plural = "" if len(documents) == 1 else "s"
    return f"{where}: {len(documents):,} document{plural}; mentions: {mentions or 'none'}"


def _controls(content: Mapping[str, Any]) -> str:
    """The bar at the top. A choice between fewer than two is left out, as is all about errors."""
    documents = content["documents"]
    counts = Counter(KINDS[kind] for *_, kinds in documents for kind in kinds)
    kinds = {kind: counts[kind] for kind in KINDS if counts[kind]}
    languages = Counter(sorted(language for _, language, *_ in documents))
    judged = _is_judged(content)
    parts = [
        '<form class="bar"><input type="search" name="words" aria-label="Search texts and ids"',
        ' placeholder="Search" autocomplete="off" spellcheck="false">',
        '<button type="button" name="more" aria-expanded="false">Filters</button>',
        '<span class="filters">',
        _choice("kind", f"Any error ({counts.total():,})", kinds),
        _choice("language", "Any language", languages),
        _choice("label", "Any label", dict.fromkeys(content["labels"])),
        '<label><input type="checkbox" name="errors">with errors only</label>' * judged,
        '</span><span class="place"><span class="count"><output></output>',
        f"{'<output></output>' * judged}</span>",
        _button("previous", "Previous error (p)", "↑") * judged,
        _button("next", "Next error (n)", "↓") * judged,
        _button("help", "Keys and marks (?)", "?"),
        "</span></form>",
    ]
    return "".join(parts)


def _button(name: str, about: str, sign: str) -> str:
    names = f'name="{name}" title="{about}" aria-label="{about}"'
    return f'<button type="button" {names}>{sign}</button>'


def _choice(name: str, every: str, options: Mapping[str, int | None]) -> str:
    if len(options) < 2:
        return ""
    parts = [f'<select name="{name}" aria-label="Filter by {name}">']
    parts += [f'<option value="*">{escape(every)}</option>']  # Empty is an unknown language.
    for option, count in options.items():
        shown = escape(option or "unknown") + ("" if count is None else f" ({count:,})")
        parts += [f'<option value="{escape(option)}">{shown}</option>']
    return "".join([*parts, "</select>"])


def _help(content: Mapping[str, Any]) -> str:
    """The keys and what marks mean; it opens on demand."""
    sides = {_MISSING, _RIGHT, _WRONG} if _is_judged(content) else {_FOUND}
    terms = (_ERROR_KEYS if _is_judged(content) else {}) | _KEYS
    for side, (name, about) in enumerate(SIDES.items()):
        if side in sides:
            terms[f'<mark class="{name}">{name}</mark>'] = about
    if len(content["labels"]) > 1:
        tags = map(escape, content["tags"])
        terms |= dict(zip(tags, map(escape, content["labels"]), strict=True))
    rows = "".join(f"<dt>{term}</dt><dd>{about}</dd>" for term, about in terms.items())
    return (
        '<dialog aria-label="Keys and marks"><form method="dialog">'
        f"<dl>{rows}</dl><button>Close</button></form></dialog>"
    )
