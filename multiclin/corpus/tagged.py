"""Sentences of tokens with one tag each: what CoNLL files and Hugging Face data sets are made of.

Out: tokens are the words of `multiclin.words` and every other character that is no white space, so
they cover the text, and its offsets follow from the text and the tokens alone. Sentences end at
line breaks and behind `.`, `!`, `?` before a capital or a digit, but never inside a mention and not
behind an abbreviation such as `Dr.`: the rule is rough, and no offset depends on it. Tags are BIO.

One tag per token holds no two mentions at one place and no edge inside a word. What it cannot hold
is put into the ledger by name; of mentions that overlap the longest stays.

In: BIO (IOB2), IOB1, IO, BIOES, BILOU and BMES without asking which: a mention begins at B, S, U
and wherever the label changes, ends behind E, L, S, U and at a sentence's end. In IO two mentions
that touch are one. A tag without a label (`B`, `I`) is of the label `ENTITY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import regex

from multiclin.corpus import BOM, excerpt
from multiclin.corpus.exchange import Losses, label_without_space
from multiclin.document import Document, Span
from multiclin.words import word_spans

UNNAMED: Final = "ENTITY"
OUTSIDE: Final = "O"

_TAG: Final = re.compile(r"O|[BIMELSU](?:-\S.*)?")
_BEGINS: Final = frozenset("BSU")
_ENDS: Final = frozenset("ELSU")
_SENTENCE_END: Final = regex.compile(
    r"""(?:\r\n|[\n\r\v\f\x85\u2028\u2029])+
      | (?<! (?<!\p{L}) (?: \p{Lu} | \p{Lu}\p{Ll}{1,2} ) ) [.!?…] ["'”’»)\]]* \s+
        (?= [¿¡"'“‘«(\[]* [\p{Lu}\p{N}] )""",
    regex.VERSION1 | regex.VERBOSE,
)


class Token(NamedTuple):
    """Half-open characters of a text, and a tag such as `B-DISEASE`."""

    start: int
    end: int
    tag: str = OUTSIDE


def tokens_of(text: str) -> list[Token]:
    """The words of a text, and every other character that is no white space.

    Example:
        >>> text = "HER2+ (T2N0M0)."
        >>> [text[one.start : one.end] for one in tokens_of(text)]
        ['HER2', '+', '(', 'T2N0M0', ')', '.']
    """
    tokens: list[Token] = []
    last = 0
    for start, end in [*word_spans(text).tolist(), (len(text), len(text))]:
        tokens += [Token(at, at + 1) for at in range(last, start) if not text[at].isspace()]
        if start < end:
            tokens.append(Token(start, end))
        last = end
    return tokens


def tagged_sentences(document: Document, losses: Losses) -> list[list[Token]]:
    """The sentences of a document with the tags of its mentions; empty for a blank text.

    Raises:
        OutputError: A label is empty or holds white space.
    """
    tokens = tokens_of(document.text)
    kept = _flat(document, tokens, losses)
    firsts = {span.start: span for span in kept}
    begins = _sentence_starts(document.text, kept)
    sentences: list[list[Token]] = []
    inside: Span | None = None
    place = 0
    for token in tokens:
        if inside and inside.end <= token.start:
            inside = None
        tag = f"I-{inside.label}" if inside else OUTSIDE
        if token.start in firsts:
            inside = firsts[token.start]
            tag = f"B-{label_without_space(inside.label)}"
        is_new = not sentences
        while place < len(begins) and begins[place] <= token.start:
            place, is_new = place + 1, True
        if is_new:
            sentences.append([])
        sentences[-1].append(token._replace(tag=tag))
    return sentences


def _sentence_starts(text: str, mentions: Sequence[Span]) -> list[int]:
    """Where sentences begin, in order; no mention has one inside."""
    inner = {at for span in mentions for at in range(span.start + 1, span.end)}
    ends = (match.end() for match in _SENTENCE_END.finditer(text))
    return [end for end in ends if end not in inner]


def _flat(document: Document, tokens: Sequence[Token], losses: Losses) -> list[Span]:
    """The mentions that one tag per token can hold, longest first; the ledger gets the others."""
    starts, ends = {token.start for token in tokens}, {token.end for token in tokens}
    taken: list[Span] = []
    free = bytearray(b"\1") * len(document.text)
    known: set[Span] = set()
    for span in sorted(document.spans, key=lambda span: (span.start - span.end, span)):
        inner = _trimmed(document.text, span)
        if inner is None:
            losses.add("mention: only white space", document.id, span)
        elif inner in known:
            losses.add("mention: repeated, written once", document.id, span)
        elif inner.start not in starts or inner.end not in ends:
            losses.add("mention: an edge inside a word", document.id, span)
        elif not all(free[inner.start : inner.end]):
            losses.add("mention: overlaps one that is no shorter", document.id, span)
        else:
            if inner != span:
                losses.add("mention: white space at its edges cut off", document.id, span)
            known.add(inner)
            taken.append(inner)
            free[inner.start : inner.end] = bytes(inner.end - inner.start)
    return taken


def _trimmed(text: str, span: Span) -> Span | None:
    mention = text[span.start : span.end]
    start = span.start + len(mention) - len(mention.lstrip())
    end = start + len(mention.strip())
    return Span(start, end, span.label) if start < end else None


def check_tag(tag: str) -> str:
    """The tag.

    Raises:
        ValueError: It is none.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"{excerpt(tag)} is no tag: expected O, B-LABEL, I-LABEL, ...")
    return tag


def spans_of(sentences: Iterable[Sequence[Token]]) -> tuple[Span, ...]:
    """The mentions of tagged sentences, in whatever scheme the tags are.

    Example:
        >>> spans_of([[Token(0, 3, "I-X"), Token(4, 7, "E-X"), Token(8, 9, "I-X")]])
        (Span(start=0, end=7, label='X', score=None), Span(start=8, end=9, label='X', score=None))
    """
    spans: list[Span] = []
    for sentence in sentences:
        start, end, label = -1, 0, ""
        for token in [*sentence, Token(0, 0)]:
            kind, _, its = token.tag.partition("-")
            its = its or UNNAMED
            if start >= 0 and (kind == OUTSIDE or kind in _BEGINS or its != label):
                spans.append(Span(start, end, label))
                start = -1
            if kind == OUTSIDE:
                continue
            if start < 0:
                start, label = token.start, its
            end = token.end
            if kind in _ENDS:
                spans.append(Span(start, end, label))
                start = -1
    return tuple(spans)


def aligned(words: Iterable[str], text: str, at: int = 0) -> Iterable[tuple[int, int]]:
    """Half-open offsets of the tokens of a text, found one behind the other.

    Args:
        words: The tokens as they are written.
        text: The text; between two tokens it has nothing but white space.
        at: Where to begin.

    Raises:
        ValueError: At the first token that is not what the text has next.
    """
    for word in words:
        while at < len(text) and (text[at].isspace() or (text[at] == BOM and word[:1] != BOM)):
            at += 1
        if not word or not text.startswith(word, at):
            # Both are patient text, so short.
            shown = excerpt(text[at : at + max(len(word), 1)])
            raise ValueError(f"token {excerpt(word)} where the text has {shown} at {at}")
        yield at, at + len(word)
        at += len(word)


def rebuilt(sentences: Iterable[Sequence[str]]) -> str:
    """A text of tokens whose own text is not known: a space between two, a line per sentence."""
    return "\n".join(" ".join(sentence) for sentence in sentences if sentence)
