"""The page of documents: what it holds, and what it does in a browser."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.analysis.documents import SIDES, write_documents
from multiclin.analysis.evaluation import Evaluation, Pair
from multiclin.document import Document, Span
from multiclin.scoring.counts import strict_counts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def pair(
    text: str,
    gold: list[Span],
    predicted: list[Span],
    *,
    id: str = "case-1",
    language: str = "es",
    annotated: tuple[str, ...] = ("DISEASE",),
) -> Pair:
    document = Document(id, text, tuple(gold), language, frozenset(annotated))
    return Pair(document, document.with_spans(tuple(predicted)))


def disease(start: int, end: int, score: float | None = None) -> Span:
    return Span(start, end, "DISEASE", score)


def page_of(pairs: list[Pair], folder: Path, split: str = "test") -> str:
    path = folder / "documents.html"
    write_documents(path, "Documents", Evaluation("baseline", pairs, split))
    return path.read_bytes().decode("utf-8")


def data_of(page: str) -> dict[str, Any]:
    """The JSON as a browser finds it: up to the first end of its element."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script', page, re.S)
    return json.loads(text)  # type: ignore[no-any-return]


def marks_of(page: str) -> list[tuple[Any, ...]]:
    """Start, end, side and error of the marks of all documents."""
    data = data_of(page)
    return [
        (start, end, data["sides"][side], error)
        for document in data["documents"]
        for start, end, _, side, error, *_ in document[4]
    ]


def test_marks_are_right_wrong_or_missed_and_know_their_error(tmp_path: Path) -> None:
    # Right; then one error of a gold and a predicted mention; then one of a gold mention alone.
    gold = [disease(0, 4), disease(6, 16), disease(19, 22)]
    page = page_of([pair("Asma, EPOC grave y tos.", gold, [gold[0], disease(6, 10)])], tmp_path)
    assert marks_of(page) == [
        (0, 4, "right", -1),
        (6, 16, "missing", 0),
        (6, 10, "wrong", 0),
        (19, 22, "missing", 1),
    ]
    data = data_of(page)
    assert [data["kinds"][kind] for kind in data["documents"][0][5]] == ["short right", "missed"]
    assert "baseline, test: 1 document; mentions: 1 right, 1 wrong, 2 missing" in page


def test_a_repeated_prediction_is_one_mark_with_its_best_score(tmp_path: Path) -> None:
    twice = [disease(0, 4, 0.25), disease(0, 4, 0.87654)]
    page = page_of([pair("Asma.", [disease(0, 4)], twice)], tmp_path)
    assert data_of(page)["documents"][0][4] == [[0, 4, 0, 0, -1, 0.877]]


def test_a_repeated_gold_mention_is_right_once(tmp_path: Path) -> None:
    page = page_of([pair("Asma.", [disease(0, 4), disease(0, 4)], [disease(0, 4)])], tmp_path)
    assert marks_of(page) == [(0, 4, "right", -1), (0, 4, "missing", 0)]


spans = st.builds(
    lambda start, length, label: Span(start, start + length, label),
    st.integers(0, 12),
    st.integers(1, 8),
    st.sampled_from(["DISEASE", "SYMPTOM"]),
)


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6))
def test_marks_add_up_to_the_official_counts(gold: list[Span], predicted: list[Span]) -> None:
    one = pair("." * 20, gold, predicted, annotated=("DISEASE", "SYMPTOM"))
    with TemporaryDirectory() as folder:
        sides = Counter(side for _, _, side, _ in marks_of(page_of([one], Path(folder))))
    counts = strict_counts(gold, predicted)
    assert (sides["right"], sides["wrong"], sides["missing"]) == (counts.tp, counts.fp, counts.fn)


def test_any_text_stays_as_it_is(tmp_path: Path) -> None:
    text = "</script><!--<script> &amp; \0\r\n\x85\u2028\ufeff🫀 e\u0301 \"'\\u003c"
    page = page_of([pair(text, [disease(0, 1)], [], id="<b>&", language="<i>")], tmp_path)
    assert data_of(page)["documents"][0][:3] == ["<b>&", "<i>", text]
    assert page.count("</script>") == 2  # Of the script and of the data.
    assert "<!--" not in page


def test_without_gold_there_are_mentions_and_no_errors(tmp_path: Path) -> None:
    page = page_of([pair("Asma.", [], [disease(0, 4)], annotated=())], tmp_path, split="")
    assert marks_of(page) == [(0, 4, "found", -1)]
    assert data_of(page)["documents"][0][5] == []
    assert "baseline: 1 document; mentions: 1 found" in page
    body = page[page.index("<h1>") : page.index("application/json")]
    assert "rror" not in body


def test_a_choice_is_offered_where_there_is_one(tmp_path: Path) -> None:
    one = pair("Asma.", [disease(0, 4)], [])
    assert "<select" not in page_of([one], tmp_path)
    other = pair("Tos.", [], [Span(0, 3, "SYMPTOM")], id="case-2", language="", annotated=("X<",))
    page = page_of([one, other], tmp_path)
    options = re.findall(r'<option value="(.*?)">(.*?)</option>', page)
    assert [(unescape(value), unescape(shown)) for value, shown in options] == [
        ("*", "Any error (2)"),
        ("missed", "missed (1)"),
        ("spurious", "spurious (1)"),
        ("*", "Any language"),
        ("", "unknown (1)"),
        ("es", "es (1)"),
        ("*", "Any label"),
        ("DISEASE", "DISEASE"),
        ("SYMPTOM", "SYMPTOM"),
        ("X<", "X<"),
    ]


def test_labels_have_the_shortest_tags_that_tell_them_apart(tmp_path: Path) -> None:
    labels = ["DISEASE", "PROCEDURE", "PROCESS", "PROCESS_2", "X"]
    page = page_of([pair("Asma.", [], [], annotated=tuple(labels))], tmp_path)
    assert data_of(page)["labels"] == labels
    assert data_of(page)["tags"] == ["DIS", "PROCED", "PROCESS", "PROCESS_", "X"]


def test_no_documents_are_a_page_too(tmp_path: Path) -> None:
    page = page_of([], tmp_path)
    assert "baseline, test: 0 documents; mentions: none" in page


# --- In a browser --------------------------------------------------------------------------------

UNTIL = """
const until = (isTrue, frames = 200) => new Promise((done) => {
  const look = () => isTrue() || !frames-- ? done() : requestAnimationFrame(look);
  look();
});
"""
DRIVER = """
const press = (key) => (document.activeElement ?? document.body).dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const outputs = () => [...document.querySelectorAll("output")].map((one) => one.value);
const texts = (nodes) => [...nodes].map((node) => node.textContent);
const marked = () => texts(document.querySelectorAll(".here"));
const shownIds = () => [...document.querySelectorAll("main section")]
  .filter((section) => !section.hidden).map((section) => section.id);
const choose = (name, value) => {
  const control = document.querySelector(`[name=${name}]`);
  if (control.type === "checkbox") control.checked = value; else control.value = value;
  control.dispatchEvent(new Event(name === "words" ? "input" : "change", { bubbles: true }));
};
const columns = (id) => texts(document.getElementById(id).querySelectorAll(".text"));
return (async () => {
  const seen = {};
  await until(() => document.querySelector("#c-crossing .text"));
  seen.start = outputs();
  seen.built = document.querySelectorAll(".texts").length;
  seen.columns = columns("a-heart");
  seen.nested = texts(document.querySelectorAll("#b-nested .missing mark, #b-nested .right mark"));
  seen.lines = [...document.querySelectorAll("#b-nested .text mark")].map(
    (node) => getComputedStyle(node).paddingBottom);
  seen.crossing = [...document.querySelectorAll("#c-crossing .text .found")].map(
    (node) => [node.textContent, node.classList.contains("continued")]);
  press("n");
  seen.first = [...outputs(), ...marked(), document.activeElement.textContent];
  seen.tip = texts(document.querySelectorAll("#tip p"));
  press("j");
  seen.second = [outputs()[1], ...marked()];
  press("p"); press("k");
  seen.wrapped = [outputs()[1], ...marked()];
  const isInView = () => {
    const { top } = document.querySelector(".here").getBoundingClientRect();
    return top > 0 && top < innerHeight;
  };
  await until(isInView);
  seen.inView = isInView();
  press("/");
  seen.searching = document.activeElement.name;
  press("n");
  seen.typed = outputs()[1];
  choose("words", "TORACICO  ");
  await until(() => shownIds().length < 44);
  seen.words = shownIds();
  press("Escape");
  seen.left = document.activeElement.tagName;
  choose("words", "");
  await until(() => shownIds().length === 44);
  choose("kind", "spurious");
  seen.kind = [...shownIds(), outputs()[1]];
  press("n");
  seen.spurious = marked();
  choose("kind", "*");
  choose("language", "it");
  seen.language = shownIds();
  choose("errors", true);
  seen.none = [...shownIds(), ...outputs()];
  press("?");
  seen.help = document.querySelector("dialog").open;
  return seen;
})();
"""


@contextmanager
def chromium(folder: Path) -> Iterator[Callable[..., Any]]:
    """A headless browser that takes DevTools commands from a pipe: `call(method, session, ...)`."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH to open the page with")
    (for_browser, commands), (answers, from_browser) = os.pipe(), os.pipe()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    line = shlex.join([CHROMIUM, *options, f"--user-data-dir={folder}"])
    process = subprocess.Popen(  # It reads from 3 and writes to 4.
        ["bash", "-c", f"exec {line} 3<&{for_browser} 4>&{from_browser} 2>/dev/null"],
        pass_fds=(for_browser, from_browser),
    )
    os.close(for_browser)
    os.close(from_browser)
    with os.fdopen(answers, "rb") as stream, os.fdopen(commands, "wb", buffering=0) as sink:

        def call(method: str, session: str = "", **parameters: object) -> Any:  # noqa: ANN401
            message = {"id": 1, "method": method, "params": parameters}
            message |= {"sessionId": session} if session else {}
            sink.write(json.dumps(message).encode() + b"\0")
            while True:  # Until the answer comes among the events.
                text = b""
                while not text.endswith(b"\0"):
                    byte = stream.read(1)
                    assert byte, f"chromium ended before it answered {method}"
                    text += byte
                answer = json.loads(text[:-1])
                if "id" in answer:
                    assert "result" in answer, answer
                    return answer["result"]

        watch = Timer(60, process.kill)
        watch.start()
        try:
            yield call
        finally:
            watch.cancel()
            process.kill()
            process.wait()


def drive(pairs: list[Pair], driver: str, folder: Path, width: int) -> Any:  # noqa: ANN401
    """What a script returns in the page of some documents."""
    page_of(pairs, folder)
    with chromium(folder / "profile") as call:
        target = call("Target.createTarget", url="about:blank")["targetId"]
        session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        call("Emulation.setDeviceMetricsOverride", session, **screen)
        call("Page.navigate", session, url=(folder / "documents.html").as_uri())
        script = f"(() => {{ {UNTIL} {driver} }})()"
        seen = call(
            "Runtime.evaluate", session, expression=script, awaitPromise=True, returnByValue=True
        )
    return seen["result"].get("value", seen)


HEART = pair(
    "🫀 Con dolor\ntorácico </script>", [disease(6, 20)], [disease(6, 11, 0.75)], id="a-heart"
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    """What the driver saw in 44 documents."""
    pairs = [
        HEART,
        pair(
            "Asma grave y EPOC.", [disease(0, 10), disease(0, 4)], [disease(0, 10)], id="b-nested"
        ),
        pair("Asma grave.", [], [disease(0, 7), disease(5, 10)], id="c-crossing", annotated=()),
        pair("Febbre.", [disease(0, 6)], [disease(0, 6)], id="d-italian", language="it"),
        *(pair("Tos. " * 400, [disease(0, 3)], [], id=f"e-{number:02}") for number in range(39)),
        pair("Sin fiebre.", [], [disease(4, 10)], id="f-spurious"),
    ]
    return drive(pairs, DRIVER, tmp_path_factory.mktemp("page"), 1280)


def test_only_documents_near_the_screen_are_built(seen: dict[str, Any]) -> None:
    assert seen["start"] == ["44 of 44 documents", "42 errors"]
    assert 4 <= seen["built"] < 20


def test_both_columns_hold_the_text_as_it_is(seen: dict[str, Any]) -> None:
    assert seen["columns"] == ["🫀 Con dolor\ntorácico </script>"] * 2


def test_nested_marks_are_nested_and_crossing_ones_go_on(seen: dict[str, Any]) -> None:
    assert seen["nested"] == ["Asma"]
    assert seen["lines"] == ["5px", "1px", "1px"]  # Outer and inner in gold; the predicted one.
    assert seen["crossing"] == [["Asma gr", False], ["gr", False], ["ave", True]]


def test_a_key_jumps_to_the_next_error(seen: dict[str, Any]) -> None:
    mention = "dolor\ntorácico"
    assert seen["first"] == ["44 of 44 documents", "error 1 of 42", mention, "dolor", mention]
    assert seen["second"] == ["error 2 of 42", "Asma"]


def test_before_the_first_error_is_the_last_and_on_the_screen(seen: dict[str, Any]) -> None:
    assert seen["wrapped"] == ["error 42 of 42", "fiebre"]
    assert seen["inView"]


def test_an_error_explains_itself_in_the_offsets_of_the_files(seen: dict[str, Any]) -> None:
    assert seen["tip"] == [
        "short right The prediction ends too early.",
        "gold DISEASE · 6–20",
        "dolor\ntorácico",
        "predicted DISEASE · 6–11 · score 0.750",
        "dolor",
    ]


def test_a_key_that_is_typed_is_no_command(seen: dict[str, Any]) -> None:
    assert seen["searching"] == "words"
    assert seen["typed"] == "error 42 of 42"
    assert seen["left"] == "BODY"


def test_filters_leave_what_was_asked_for(seen: dict[str, Any]) -> None:
    assert seen["words"] == ["a-heart"]
    assert seen["kind"] == ["f-spurious", "1 error"]
    assert seen["spurious"] == ["fiebre"]
    assert seen["language"] == ["d-italian"]
    assert seen["none"] == ["0 of 44 documents", "0 errors"]


def test_a_question_mark_shows_the_keys(seen: dict[str, Any]) -> None:
    assert seen["help"]


def test_a_narrow_screen_has_one_text_with_both_layers(tmp_path: Path) -> None:
    driver = """
    const marks = () => [...document.querySelectorAll(".text mark")];
    return until(() => marks().length).then(
      () => marks().map((node) => [node.className, node.textContent, node.dataset.tag ?? ""]));
    """
    assert drive([HEART], driver, tmp_path, 600) == [
        ["missing", "dolor\ntorácico", "short right"],
        ["wrong", "dolor", ""],  # Inside it, without a tag of its own.
    ]


def test_every_side_has_its_style() -> None:
    style = Path(write_documents.__code__.co_filename).with_suffix(".css").read_text("utf-8")
    assert all(f".{side} {{" in style for side in SIDES if side != "right")
