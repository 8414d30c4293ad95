"""What holds of everything that is read, said, or carried over, whatever the input was."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from multiclin.corpus.exchange import Loss
from multiclin.corpus.formats import Split
from multiclin.document import Document, Span
from multiclin.errors import CorpusError, MulticlinError, OutputError

_Value = TypeVar("_Value")

LONGEST_MESSAGE: Final = 1200  # characters: it quotes little, however long a line or a list is


def attempted(act: Callable[[], _Value]) -> tuple[_Value | None, MulticlinError | None]:
    """What the act returns, or the mistake that it tells; anything else is a finding."""
    try:
        return act(), None
    except MulticlinError as error:
        judge_error(error)
        return None, error


def until_told(values: Iterator[_Value]) -> tuple[list[_Value], MulticlinError | None]:
    """All that comes, and the mistake that is told at the end."""
    found: list[_Value] = []

    def exhaust() -> None:
        found.extend(values)

    _, error = attempted(exhaust)
    return found, error


def judge_error(error: MulticlinError) -> None:
    """A mistake is told in a few words; only paths are as long as they are."""
    problems = error.problems if isinstance(error, CorpusError) else []
    for message in [problem.message for problem in problems] or [str(error)]:
        assert message.strip()
        is_short = len(message) <= LONGEST_MESSAGE or isinstance(error, OutputError)
        assert is_short, f"{len(message)} characters: {message[:200]}"


def judge_document(one: Document) -> None:
    """A document that any writer, tokenizer and table can be given."""
    strings = [one.id, one.text, one.language, one.case, *one.annotated]
    strings += [span.label for span in one.spans]
    for string in strings:
        assert isinstance(string, str), repr(string)
        string.encode()
    assert one.id
    assert one.case
    assert isinstance(one.annotated, frozenset)
    assert list(one.spans) == sorted(one.spans)
    for span in one.spans:
        assert type(span.start) is type(span.end) is int
        assert 0 <= span.start < span.end <= len(one.text)
        assert span.label
        assert span.score is None or 0 <= span.score <= 1


def judge_carried(before: Sequence[Split], after: Sequence[Split], told: Sequence[Loss]) -> None:
    """Of documents that were written in another format, what is gone or changed has been told."""
    kept = {(split, one.id): one for split, one in after}
    gone: defaultdict[str, Counter[Span]] = defaultdict(Counter)
    reasons: defaultdict[str, set[str]] = defaultdict(set)
    for loss in told:
        if loss.span:
            gone[loss.document][loss.span] += loss.times
        reasons[loss.document].add(loss.reason.partition(":")[0].partition(";")[0])
    for split, one in before:
        said = reasons[one.id]
        if (split, one.id) in kept:
            _judge_carried(one, kept[split, one.id], gone[one.id], said)
        else:
            assert said & {"document", "name"}, f"{one.id!r} is gone: {told}"


def _judge_carried(one: Document, copy: Document, gone: Counter[Span], said: set[str]) -> None:
    assert one.text == copy.text or "text" in said, f"{one.text!r} came back as {copy.text!r}"
    if len(one.text) == len(copy.text):
        missing, new = Counter(one.spans), Counter(copy.spans)
        missing, new = missing - new, new - missing
        assert missing <= gone, f"{missing} but only {gone} was told"
        # A mention whose edge was cut off is told as the mention that it was.
        for span in new:
            assert any(old.start <= span.start < span.end <= old.end for old in missing), span
    assert copy.language == one.language or "language" in said
    assert copy.case == one.case or "case" in said, f"case {one.case!r} is now {copy.case!r}"
