"""What a tokenizer makes of a corpus: mentions beyond a window, edges inside a token, `<unk>`.

The tokenizer comes from `encoder`; this module sees one document at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from multiclin.checking.findings import Findings
from multiclin.checking.mentions import Source
from multiclin.checking.texts import line_of
from multiclin.corpus import excerpt
from multiclin.document import Document, Span
from multiclin.encoder import Subwords
from multiclin.errors import ConfigError
from multiclin.tagging import token_ranges
from multiclin.windows import Tokenized


class SubwordCheck:
    """The checks for one tokenizer and window.

    Args:
        subwords: The tokenizer.
        window: Longest window in subwords, special tokens included.

    Raises:
        ConfigError: The window has no room for text.
    """

    def __init__(self, subwords: Subwords, window: int) -> None:
        self._subwords = subwords
        self.room = window - subwords.specials
        if self.room < 1:
            raise ConfigError(f"--window={window} has no room beside {subwords.specials} specials")

    def judge(self, text: str, path: Path, sources: Sequence[Source], findings: Findings) -> None:
        """Everything that this tokenizer has against a text and its mentions."""
        (tokenized,) = self._subwords.tokenize([Document(path.stem, text)])
        self._judge_unknown(tokenized, path, findings)
        for source in sources:
            dropped = len(text) - len(source.text)  # a byte order mark that is not counted
            self._judge_mentions(tokenized, source, dropped, findings)

    @cached_property
    def _unknown(self) -> int | None:
        """Id of the token for what the vocabulary does not hold; byte-level ones have none."""
        model = json.loads(self._subwords.files["tokenizer.json"])["model"]
        if isinstance(model.get("unk_id"), int):
            return int(model["unk_id"])
        token = model.get("unk_token")
        return self._subwords.id_of(token) if isinstance(token, str) else None

    def _judge_unknown(self, tokenized: Tokenized, path: Path, findings: Findings) -> None:
        at = np.flatnonzero((tokenized.ids == self._unknown) & (tokenized.ends > tokenized.starts))
        if not len(at):
            return
        text = tokenized.document.text
        edges = zip(tokenized.starts[at].tolist(), tokenized.ends[at].tolist(), strict=True)
        met = Counter(text[start:end] for start, end in edges)
        parts = " ".join(part for part, _ in met.most_common())
        what = f"{len(at):,} unknown: {excerpt(parts)}"
        findings.add("unknown_token", path, line_of(text, int(tokenized.starts[at[0]])), what)

    def _judge_mentions(
        self, tokenized: Tokenized, source: Source, dropped: int, findings: Findings
    ) -> None:
        mentions = [mention for mention in source.mentions if not mention.wrong]
        starts, ends = tokenized.starts, tokenized.ends
        spans = [Span(one.start + dropped, one.end + dropped, one.label) for one in mentions]
        for mention, span, (first, end) in zip(
            mentions, spans, token_ranges(starts, ends, spans), strict=True
        ):
            if end - first > self.room:
                what = f"{mention.start}-{mention.end} has {end - first:,} subwords of {self.room}"
                findings.add("beyond_window", source.path, mention.line, what)
            cut = first < end and (starts[first] < span.start or ends[end - 1] > span.end)
            if cut:
                text = tokenized.document.text
                around = excerpt(text[int(starts[first]) : int(ends[end - 1])])
                what = f"{mention.start}-{mention.end} lies inside the tokens of {around}"
                findings.add("inside_token", source.path, mention.line, what)
