from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from multiclin.analysis.evaluation import Pair
from multiclin.analysis.marked import Marked, marked_html, marks
from multiclin.document import Document, Span
from tests.analysis.toys import bare, pair, random_evaluation


def sides(found: Pair) -> list[tuple[str, str, int]]:
    """Words, side and level of each mention."""
    text = found.gold.text
    return [(text[span.start : span.end], side, level) for span, side, level in marks(found)]


class Shown(HTMLParser):
    """What a browser shows: the text below the heading, and the lines under each character.

    Attributes:
        text: Without tags; `<br>` is a line break.
        lines: Of each character, the sides that are drawn under it.
        tags: The words behind mentions, with the text before them.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", [""]
        self.lines: list[list[str]] = []
        self._open: list[str] = []
        self._small = self._heading = False
        self.feed(html.partition("</div>")[2].removesuffix("</div>"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "mark":
            title = dict(attrs)["title"] or ""
            self._open.append(title.split(", ", 1)[1])
        elif tag == "br":
            self.handle_data("\n")
        self._small = tag == "sup"

    def handle_endtag(self, tag: str) -> None:
        if tag == "mark":
            self._open.pop()
        self._small = False

    def handle_data(self, data: str) -> None:
        if self._small:
            self.tags.append(f"{self.text}|{data}")
        else:
            self.text += data
            self.lines += [list(self._open)] * len(data)


def test_right_wrong_and_missed() -> None:
    found = pair("a", "⟦tos⟧, ⟦asma⟧ y gripe", "⟦tos⟧, asma y ⟦gripe⟧")
    assert sides(found) == [("gripe", "wrong", 1), ("asma", "missing", 1), ("tos", "right", 1)]


def test_a_wrong_edge_is_a_mention_missed_around_one_that_is_wrong() -> None:
    found = pair("a", "⟦dolor leve⟧ y ⟦tos⟧", "⟦dolor⟧ leve y ⟦tos⟧")
    assert sides(found) == [
        ("dolor leve", "missing", 2),
        ("dolor", "wrong", 1),
        ("tos", "right", 1),
    ]


def test_crossing_mentions_lie_on_levels_of_their_own() -> None:
    found = bare("a", [Span(0, 6, "D")], [Span(4, 12, "D")])
    assert [mark.level for mark in marks(found)] == [2, 1]


def test_a_repetition_in_gold_is_missed() -> None:
    span = Span(0, 3, "D")
    assert sorted(mark.side for mark in marks(bare("a", [span, span], [span]))) == [
        "missing",
        "right",
    ]


def test_the_surest_of_two_equal_predictions_is_shown() -> None:
    spans = [Span(0, 3, "D", 0.9), Span(0, 3, "D", 0.2)]
    assert [mark.span.score for mark in marks(bare("a", [], spans))] == [0.9]


def test_without_gold_mentions_are_found() -> None:
    one = Document("a", "tos")
    found = Marked(Pair(one, one.with_spans((Span(0, 3, "D"),))))
    assert repr(found) == "a: 1 found"


def test_a_notebook_gets_html_and_a_console_the_numbers() -> None:
    found = Marked(pair("a", "⟦dolor leve⟧ y ⟦tos⟧", "⟦dolor⟧ leve y ⟦tos⟧"))
    assert repr(found) == "a: 1 right, 1 wrong, 1 missing"
    assert found._repr_html_() == marked_html(found.pair)
    nothing = Marked(pair("b", "nada", "nada"))
    assert repr(nothing) == "b: no mentions"


def test_the_text_stands_there_with_lines_under_its_mentions() -> None:
    shown = Shown(marked_html(pair("a", "no ⟦dolor leve⟧", "no ⟦dolor⟧ leve", scores=[0.5])))
    assert shown.text == "no dolor leve"
    missed, wrong = "in gold, not predicted", "predicted, not in gold, score 0.50"
    assert shown.lines == 3 * [[]] + 5 * [[missed, wrong]] + 5 * [[missed]]


def test_a_word_behind_a_mention_says_what_is_not_right() -> None:
    shown = Shown(marked_html(pair("a", "⟦tos⟧ y ⟦dolor leve⟧", "⟦tos⟧ y ⟦dolor⟧ leve")))
    assert shown.tags == ["", "tos y dolor|wrong", "tos y dolor leve|missing"]


def test_labels_are_named_where_there_are_several() -> None:
    found = bare("a", [Span(0, 2, "D"), Span(4, 6, "S")], [Span(0, 2, "D")])
    assert Shown(marked_html(found)).tags == ["", "..|D", "......|S missing"]


def test_the_heading_counts_and_explains_the_marks() -> None:
    html = marked_html(pair("a<b", "⟦tos⟧, ⟦asma⟧ y gripe", "⟦tos⟧, asma y gripe"))
    heading = html.partition("</div>")[0]
    assert "<b>a&lt;b</b>" in heading
    assert re.findall(r'title="([^"]+)">([^<]+)<', heading) == [
        ("predicted, and in gold", "1 right"),
        ("in gold, not predicted", "1 missing"),
    ]


def test_nothing_of_a_document_becomes_html() -> None:
    bad = "<script>x</script>&amp;\"'"
    one = Document(bad, bad, (Span(0, 8, bad),), bad, frozenset({bad}))
    html = marked_html(Pair(one, one.with_spans((Span(2, 9, bad),))))
    assert set(re.findall(r"<(\w+)", html)) == {"div", "b", "mark", "sup"}
    assert Shown(html).text == bad


def test_line_breaks_are_kept() -> None:
    html = marked_html(pair("a", "uno\r\n⟦tos\nseca⟧\n\nfin", "uno\r\ntos\nseca\n\nfin"))
    assert Shown(html).text == "uno\ntos\nseca\n\nfin"


def test_it_stands_alone() -> None:
    html = marked_html(pair("a", "⟦tos⟧", "⟦to⟧s"))
    assert not re.search(r"<style|<link|<script|class=|url\(|https?:", html)


def test_an_empty_document() -> None:
    assert Shown(marked_html(pair("a", "", ""))).text == ""


@given(st.integers(0, 500))
def test_every_mention_of_any_document_is_marked_over_its_characters(seed: int) -> None:
    for found in random_evaluation(seed).pairs:
        shown, placed = Shown(marked_html(found)), marks(found)
        assert shown.text.count("😀") == found.gold.text.count("😀")
        gold = [mark for mark in placed if mark.side in {"right", "missing"}]
        predicted = [mark for mark in placed if mark.side in {"right", "wrong"}]
        assert len(gold) == len(found.gold.spans)
        assert {mark.span for mark in predicted} == set(found.predicted.spans)
        if "\r" not in found.gold.text:
            over = [
                sum(mark.span.start <= place < mark.span.end for mark in placed)
                for place in range(len(found.gold.text))
            ]
            assert [len(lines) for lines in shown.lines] == over
        for one in placed:
            for other in placed:
                if one is not other and one.span.overlaps(other.span):
                    assert one.level != other.level
