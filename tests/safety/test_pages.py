"""Names and texts of strangers on pages, in tables and on the terminal: shown, never obeyed."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.analysis.marked import marked_html
from multiclin.analysis.report import write_report
from multiclin.checking.check import check
from multiclin.checking.stats import Stats
from multiclin.checking.telling import as_console, write_markdown
from multiclin.cli import main
from multiclin.config import CONF_DIR
from multiclin.document import Document, Span
from multiclin.hpo.study_report import write_report as write_search
from multiclin.report import model_card
from multiclin.tables import as_latex, as_markdown, as_text
from tests.analysis.test_documents import UNTIL, chromium
from tests.hpo.studies import paper_study, study_of, trial
from tests.safety.hostile import ESCAPE, MARKUP
from tests.toy_models import toy_model

TEXT = f"Con {MARKUP} y tos. " * 3


def evaluation() -> Evaluation:
    """Documents whose every name and word is hostile, with errors of several kinds."""
    gold = (Span(0, 12, MARKUP), Span(20, 30, MARKUP), Span(40, 50, "X"))
    found = (Span(2, 12, MARKUP, 0.5), Span(40, 50, MARKUP, 0.9), Span(60, 70, "X", 0.1))
    one = Document(MARKUP, TEXT, gold, MARKUP, frozenset({MARKUP, "X"}))
    bare = Document(f"{MARKUP}2", TEXT, (), MARKUP)
    return Evaluation(
        MARKUP,
        [Pair(one, one.with_spans(found)), Pair(bare, bare.with_spans(found))],
        split=MARKUP,
        lexicon={MARKUP: {MARKUP: 3}},
        native={MARKUP},
        history=[{"epoch": 0.0, "step": 1.0, "val/strict_f1": 0.5, f"val/strict_f1/{MARKUP}": 0.1}],
        about={"entity": MARKUP, "encoder": MARKUP, "data": {MARKUP: [MARKUP]}},
    )


def report(folder: Path) -> list[Path]:
    write_report(folder, MARKUP, [evaluation()])
    return [folder / "report.html", folder / "documents.html"]


def found_report(folder: Path) -> list[Path]:
    """The pages of texts without gold."""
    bare = Document(MARKUP, TEXT, (), MARKUP)
    found = bare.with_spans((Span(0, 12, MARKUP, 0.5),))
    write_report(folder, MARKUP, [Evaluation(MARKUP, [Pair(bare, found)])])
    return [folder / "report.html", folder / "documents.html"]


def search(folder: Path) -> list[Path]:
    """The page of a search whose attributes a stranger wrote into the storage."""
    study = study_of(
        *paper_study(3).get_trials(),
        trial(TrialState.COMPLETE, 0.5, {"model": "mrbert_es"}, {1: 0.5}),
        trial(TrialState.FAIL, None, {"model": "mrbert_es"}, reason=MARKUP),
    )
    for key in ("command", "objective"):
        study.set_user_attr(key, MARKUP)
    study.set_user_attr("settings", {"entity.name": MARKUP})
    write_search(study, folder / "search.html")
    return [folder / "search.html"]


def notebook(folder: Path) -> list[Path]:
    path = folder / "cell.html"
    path.write_text(marked_html(evaluation().pairs[0]))
    return [path]


def stats(folder: Path) -> list[Path]:
    """A set whose mentions are hostile; its names cannot hold a slash."""
    name = MARKUP.replace("/", "").replace("-", "")
    root = folder / f"MultiClinNER-es-train-{name}"
    for kind in ("txt", "ann"):
        (root / kind).mkdir(parents=True)
    (root / "txt" / f"{name}.txt").write_text(MARKUP)
    label = name.upper().replace(" ", "_")
    (root / "ann" / f"{name}.ann").write_text(f"T1\t{label} 0 {len(MARKUP)}\t{MARKUP}\n")
    return [Stats.of(root).write(folder / "stats")]


PAGES = [report, found_report, search, notebook, stats]


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


@pytest.mark.parametrize("written", PAGES)
def test_no_name_or_text_becomes_an_element(
    tmp_path: Path, written: Callable[[Path], list[Path]]
) -> None:
    for page in written(tmp_path):
        elements = Elements(page.read_text("utf-8")).found
        assert len(elements) > 3
        assert "img" not in {tag for tag, _ in elements}
        names = {name for _, attributes in elements for name, _ in attributes}
        assert not [name for name in names if name.startswith("on")]
        links = [value for _, those in elements for name, value in those if name in ("href", "src")]
        assert all((link or "").startswith(("#", "documents.html")) for link in links)


@pytest.mark.parametrize("written", PAGES)
def test_a_browser_runs_no_name_or_text(
    tmp_path: Path, written: Callable[[Path], list[Path]]
) -> None:
    look = "await until(() => false, 30); return [typeof owned, document.body.innerText.length]"
    script = f"(async () => {{ {UNTIL} {look} }})()"
    with chromium(tmp_path / "profile") as call:

        def evaluated(session: str, expression: str) -> Any:  # noqa: ANN401
            wanted = {"expression": expression, "awaitPromise": True, "returnByValue": True}
            return call("Runtime.evaluate", session, **wanted)["result"]["value"]

        for page in written(tmp_path):
            target = call("Target.createTarget", url="about:blank")["targetId"]
            session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            call("Page.navigate", session, url=page.as_uri())
            while evaluated(session, "location.protocol + document.readyState") != "file:complete":
                pass
            owned, length = evaluated(session, script)
            assert owned == "undefined"
            assert length > 10


def test_tables_hold_a_name_in_one_cell() -> None:
    table = [["label", "F1"], [f"{MARKUP}\n\n# {MARKUP}", "0.5"]]
    assert len(as_text(table).splitlines()) == 2
    [_, _, row] = as_markdown(table).splitlines()
    assert r"\<img src=x onerror=owned=1>\</script>" in row
    assert row.replace(r"\|", "").count("|") == 3
    assert len(as_latex([["a", "b"], ["\\input{/etc/passwd}", "$x$ %\n\\end"]]).splitlines()) == 7
    assert r"\input" not in as_latex([["a"], ["\\input{/etc/passwd}"]])


def test_a_model_card_holds_names_as_text() -> None:
    model = toy_model((MARKUP,))
    model.about.update({"encoder": MARKUP, "scores": {MARKUP: 0.5}})
    card = model_card(model)
    assert "<img" not in card.replace(r"\<img", "")
    assert "<script" not in card.replace(r"\<script", "")


def test_nothing_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / f"c{ESCAPE}"
    folder.mkdir()
    (folder / f"{ESCAPE}.txt").write_text(f"dolor {ESCAPE}")
    (folder / f"{ESCAPE}.ann").write_text(f"T1\t{ESCAPE} 0 4\t{ESCAPE}\n{ESCAPE}\nT2\tX\n")
    checked = check(folder)
    write_markdown(checked, tmp_path / "check.md")
    said = [as_console(checked), (tmp_path / "check.md").read_text(), as_text([[ESCAPE, ESCAPE]])]
    for words in (
        ["corpus", "find", str(folder)],
        ["corpus", "check", str(folder)],
        ["corpus", "convert", "--from", "brat", "--to", "jsonl", str(folder), str(tmp_path / "o")],
        ["evaluate", f"gold='{folder}'", f"pred='{folder}'"],
        ["report", str(folder), "--gold", str(folder), "--output", str(tmp_path / "r")],
    ):
        main(words)
        said += capsys.readouterr()
    told = "".join(said)
    assert "owned" in told
    assert not {char for char in told if char in "\x1b\x07\u202e"}


@pytest.mark.parametrize("name", ["job_logging", "hydra_logging"])
def test_nothing_commands_the_terminal_by_way_of_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    config = yaml.safe_load((CONF_DIR / "hydra" / name / "plain.yaml").read_text())
    if "file" in config["handlers"]:
        config["handlers"]["file"]["filename"] = str(tmp_path / "log")
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logging.config.dictConfig(config)
        logging.warning("labels: %s\nof two lines", ESCAPE)
    finally:
        root.handlers[:], root.level = before
    err = capsys.readouterr().err
    assert err == "labels: \\x1b[2J\\x1b]0;owned\\x07\\u202egnol\nof two lines\n"
    assert not (tmp_path / "log").exists() or "\x1b" not in (tmp_path / "log").read_text()
