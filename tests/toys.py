"""Small documents and tokenizers that several tests share; nothing here needs a file or a network.

The tokenizers are the families whose offsets differ: each is small enough to count by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from multiclin.document import Document, Span
from multiclin.encoder import Subwords
from multiclin.windows import Tokenized

DISEASES = {
    "es": "El paciente presenta ⟦insuficiencia renal⟧ y ⟦diabetes⟧ desde 2019.",
    "en": "The patient has ⟦renal failure⟧ and ⟦diabetes⟧ since 2019.",
    "cz": "Pacient má ⟦selhání ledvin⟧ a ⟦cukrovku⟧ od roku 2019.",
    "it": "Il paziente presenta ⟦insufficienza renale⟧ e ⟦diabete⟧ dal 2019.",
    "nl": "De patiënt heeft ⟦nierfalen⟧ en ⟦diabetes⟧ sinds 2019.",
    "ro": "Pacientul prezintă ⟦insuficiență renală⟧ și ⟦diabet⟧ din 2019.",
    "sv": "Patienten har ⟦njursvikt⟧ och ⟦diabetes⟧ sedan 2019.",
}


def document(name: str, marked: str, label: str = "DISEASE", language: str = "es") -> Document:
    """A document annotated for one label; its mentions stand between ⟦ and ⟧, nested or not."""
    text, spans, starts = "", [], []
    for char in marked:
        if char == "⟦":
            starts.append(len(text))
        elif char == "⟧":
            spans.append(Span(starts.pop(), len(text), label))
        else:
            text += char
    return Document(name, text, tuple(spans), language, frozenset({label}))


def documents() -> list[Document]:
    """One document per language."""
    return [document(f"case-1-{code}", text, language=code) for code, text in DISEASES.items()]


def tokenized(name: str, length: int, labels: int = 1) -> Tokenized:
    """A tagged document of `length` tokens of one character; ids count from 100."""
    positions = np.arange(length, dtype=np.int32)
    tags = np.zeros((labels, length), dtype=np.int8)
    return Tokenized(Document(name, "a" * length), positions + 100, positions, positions + 1, tags)


@cache
def metaspace() -> Subwords:
    """The vocabulary that `model=tiny` learns: `▁` stands for a space and leads a word."""
    return Subwords.train([one.text for one in documents()], 300)


@cache
def word_piece() -> Subwords:
    """As in BERT uncased: letters are lowered, accents go. Words: dolor, tora ##cico, ( ) -."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dolor", "tora", "##cico", "(", ")", "-"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _subwords(backend, {"pad_token": "[PAD]"})


@cache
def byte_level() -> Subwords:
    """As in RoBERTa: one token per byte, but ` x` and `é` are one; `Ġ` is the space."""
    pieces = ["<s>", "<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġx", "Ã©"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(numbers, [("Ġ", "x"), ("Ã", "©")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return _subwords(backend, {"pad_token": {"content": "<pad>", "lstrip": False}})


@cache
def byte_fallback() -> Subwords:
    """As in Llama: `▁` before the text and for each space, bytes for a character never seen."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abdolr"]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    model = models.BPE(numbers, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return _subwords(backend, {"eos_token": "</s>"})


TOKENIZERS: dict[str, Callable[[], Subwords]] = {
    "metaspace": metaspace,
    "word_piece": word_piece,
    "byte_level": byte_level,
    "byte_fallback": byte_fallback,
}


def _subwords(backend: Tokenizer, config: dict[str, object]) -> Subwords:
    return Subwords(
        {"tokenizer.json": backend.to_str(), "tokenizer_config.json": json.dumps(config)}
    )
