"""Windows written as text with their mentions between ⟦ and ⟧, and read back like that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from tokenizers import Tokenizer

from multiclin.document import Document
from multiclin.encoder import Subwords
from multiclin.passages import Edit, Ids, Passage, Tags, edited
from multiclin.store import tag_document
from multiclin.tagging import Scheme, Tagging
from multiclin.windows import IGNORED
from tests import toys


def vocabulary(*texts: str) -> Subwords:
    """Subwords in which these texts can be written in any case, with and without periods."""
    plain = [text.replace("⟦", "").replace("⟧", "") for text in texts]
    return Subwords.train([*plain, *map(str.upper, plain), *map(str.lower, plain), ". ."], 400)


def passage(marked: str | Document, subwords: Subwords, tagging: Tagging) -> Passage:
    """A whole text as a passage."""
    one = toys.document("d", marked, tagging.labels[0]) if isinstance(marked, str) else marked
    (cut,) = subwords.tokenize([one])
    tags = tag_document(cut, tagging)
    return Passage(cut.ids, tags, cut.starts, cut.ends, one.text, one.language)


def part(whole: Passage, first: int, end: int) -> Passage:
    """Some tokens of a passage."""
    tokens = slice(first, end)
    return Passage(
        whole.ids[tokens],
        whole.tags[:, tokens],
        whole.starts[tokens],
        whole.ends[tokens],
        whole.text,
        whole.language,
    )


def read(ids: Ids, path: Tags, subwords: Subwords, scheme: Scheme) -> str:
    """The text of metaspace tokens, its mentions between ⟦ and ⟧."""
    backend = Tokenizer.from_str(subwords.files["tokenizer.json"])
    texts = [str(backend.id_to_token(int(number))).replace("▁", " ") for number in ids]
    labelled = np.flatnonzero(path != IGNORED)
    for first, end in scheme.decode(path[labelled]):
        begin, stop = labelled[first], labelled[end - 1]
        texts[begin] = texts[begin].replace(texts[begin].lstrip(), f"⟦{texts[begin].lstrip()}")
        texts[stop] += "⟧"
    return "".join(texts).lstrip()


def read_edited(
    passage: Passage, edits: Iterable[Edit], subwords: Subwords, scheme: Scheme
) -> list[str]:
    """The text of a passage with edits in it, once per row of its tags."""
    ids, tags = edited(passage, list(edits), 10_000, scheme)
    return [read(ids, row, subwords, scheme) for row in tags]


class Drawn:
    """Stands for a Generator: gives the draws that it was made with, one after the other."""

    def __init__(self, *draws: float) -> None:
        self.draws = list(draws)

    def random(self, shape: int | Sequence[int]) -> np.ndarray:
        """So many of the draws; the last one is repeated."""
        size = int(np.prod(shape))
        self.draws += self.draws[-1:] * (size - len(self.draws))
        now, self.draws = self.draws[:size], self.draws[size:] or self.draws[-1:]
        return np.array(now).reshape(shape)


def drawn(*draws: float) -> np.random.Generator:
    """A `Drawn` as what it stands for."""
    return cast("np.random.Generator", Drawn(*draws))
