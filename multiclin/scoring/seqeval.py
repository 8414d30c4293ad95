"""seqeval's F1 over tag sequences, in its strict mode: the objective of the paper's search.

It counts a mention as right when its tokens are, so it differs from the strict score on characters
by what tokenizer, windows and snapping do to a boundary. By default seqeval is lenient (gold `B, I`
against predicted `I, I` scores 1.0, FACTS section 3); strict mode reads a sequence by the scheme
that it was written in, and a mention without its `B` is none.

seqeval pulls in scikit-learn (about a second), so it is imported at the first call.
"""

from __future__ import annotations

from collections.abc import Sequence

SCHEMES = {"BIO": "IOB2", "BIOES": "IOBES"}  # our name -> seqeval's class


def seqeval_f1(
    gold_tags: Sequence[Sequence[str]],
    predicted_tags: Sequence[Sequence[str]],
    scheme: str = "BIO",
) -> float:
    """Micro-averaged F1 of tag sequences, in [0, 1]; 0.0 where neither side has a mention.

    Args:
        gold_tags: One sequence of tags such as `O`, `B-DISEASE`, `I-DISEASE` per document.
        predicted_tags: The same documents and tokens.
        scheme: `BIO` or `BIOES`, in capitals or not.

    Raises:
        KeyError: The scheme is neither.
        ValueError: A document has another number of tags on the two sides.
    """
    from seqeval import scheme as seqeval_schemes  # type: ignore[import-untyped]
    from seqeval.metrics import f1_score  # type: ignore[import-untyped]

    tagged_by = getattr(seqeval_schemes, SCHEMES[scheme.upper()])
    if not gold_tags and not predicted_tags:
        return 0.0
    gold, predicted = [list(tags) for tags in gold_tags], [list(tags) for tags in predicted_tags]
    return float(f1_score(gold, predicted, mode="strict", scheme=tagged_by, zero_division=0))
