from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from multiclin.document import Document
from multiclin.encoder import (
    SHIFTED,
    Subwords,
    build_encoder,
    load_encoder,
    positions,
    quiet,
    scratch_config,
)
from multiclin.errors import EncoderError
from tests import toys

FAMILIES = pytest.mark.parametrize("family", toys.TOKENIZERS)
TAGS = ["O", "B-DISEASE", "I-DISEASE"]
SIZES = {
    "model_type": "modernbert",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 64,
}


def pieces(subwords: Subwords, text: str) -> list[str]:
    """The characters of each token; an empty string where it was white space only."""
    [one] = subwords.tokenize([Document("a", text)])
    return [text[start:end] for start, end in zip(one.starts, one.ends, strict=True)]


# Offsets


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        # Lower case and accents of the text stay in the offsets.
        ("word_piece", "DOLOR Torácico", ["DOLOR", "Torá", "cico"]),
        ("word_piece", "tora\u0301cico (dolor)\r\n-", ["tora", "cico", "(", "dolor", ")", "-"]),
        ("word_piece", "😀\u00a0dolor", ["😀", "dolor"]),
        # Bytes of one character share it; the leading space goes.
        ("byte_level", "x x é€", ["x", "x", "", "é", "€", "€", "€"]),
        ("byte_level", "x\r\n😀", ["x", "", "", "😀", "😀", "😀", "😀"]),
        ("byte_level", "e\u0301", ["e", "\u0301", "\u0301"]),
        # `▁` before the text shares its first character; é is two bytes.
        ("byte_fallback", "bar loa", ["b", "b", "a", "r", "", "l", "o", "a"]),
        ("byte_fallback", "a é\r\n", ["a", "a", "", "é", "é", "", ""]),
        # A character never seen is <unk>, with its own offsets.
        ("metaspace", "diabetes😀漢", ["diabetes", "😀", "漢"]),
        # Every line begins with its own `▁`, which shares its first character.
        ("metaspace", "diabetes\r\n2019", ["diabetes", "", "", "", "2", "2", "0", "1", "9"]),
        ("metaspace", "diabetes (2019)", ["diabetes", "", "(", "2", "0", "1", "9", ")"]),
    ],
)
def test_characters_of_each_token(family: str, text: str, expected: list[str]) -> None:
    assert pieces(toys.TOKENIZERS[family](), text) == expected


clinical = st.text("ab xé\u0301\u0323-(.5\r\n\t\u00a0\u200b\ufeff\u00ad😀漢ßİﬁ", max_size=20)


@FAMILIES
@given(text=clinical)
def test_offsets_ascend_and_begin_and_end_with_a_character(family: str, text: str) -> None:
    [one] = toys.TOKENIZERS[family]().tokenize([Document("a", text)])
    edges = list(zip(one.starts.tolist(), one.ends.tolist(), strict=True))
    assert all(0 <= start <= end <= len(text) for start, end in edges)
    assert edges == sorted(edges)
    assert one.ends.tolist() == sorted(one.ends)
    assert all(text[a:b] == text[a:b].strip(" \r\n\t\u00a0\u200b\ufeff") for a, b in edges)


@pytest.mark.parametrize("family", ["metaspace", "byte_level", "byte_fallback"])
@given(text=clinical)
def test_every_visible_character_stands_in_a_token(family: str, text: str) -> None:
    """Not so with WordPiece of an uncased BERT, which takes accents and control signs away."""
    [one] = toys.TOKENIZERS[family]().tokenize([Document("a", text)])
    covered = {
        at for a, b in zip(one.starts, one.ends, strict=True) for at in range(int(a), int(b))
    }
    visible = {at for at, char in enumerate(text) if char not in " \r\n\t\u00a0\u200b\ufeff"}
    assert visible <= covered


@FAMILIES
@pytest.mark.parametrize("text", ["", " ", "\r\n \u00a0\u200b"])
def test_an_empty_or_blank_text_has_no_visible_token(family: str, text: str) -> None:
    [one] = toys.TOKENIZERS[family]().tokenize([Document("a", text)])
    assert one.ids.shape == one.starts.shape == one.ends.shape
    assert (one.starts == one.ends).all()


def test_documents_keep_their_order_and_have_no_special_tokens() -> None:
    subwords = toys.word_piece()
    one, other = subwords.tokenize([Document("1", "dolor dolor"), Document("2", "-")])
    assert (one.document.id, one.ids.tolist()) == ("1", [4, 4])
    assert (other.document.id, other.ids.tolist()) == ("2", [9])
    assert subwords.tokenize([]) == []


def cut_short() -> dict[str, str]:
    """The files of a tokenizer that was saved with truncation and padding."""
    plain = toys.word_piece()
    backend = Tokenizer.from_str(plain.files["tokenizer.json"])
    backend.enable_truncation(max_length=16)
    backend.enable_padding(length=64)
    files = {**plain.files, "tokenizer.json": backend.to_str()}
    assert json.loads(files["tokenizer.json"])["truncation"]["max_length"] == 16
    return files


def test_nothing_is_truncated_or_padded(tmp_path: Path) -> None:
    subwords = Subwords(cut_short())
    subwords.save(tmp_path)
    ways = [
        subwords,
        Subwords.load(tmp_path),
        Subwords.of_encoder(tmp_path),
        pickle.loads(pickle.dumps(subwords)),
    ]
    for way in ways:
        for words in (1, 100):
            [one] = way.tokenize([Document("a", "dolor " * words)])
            assert one.ids.tolist() == [4] * words


def test_a_text_without_its_end_is_refused() -> None:
    subwords = Subwords(cut_short())
    subwords._backend.enable_truncation(max_length=16)
    subwords.tokenize([Document("a", "dolor " * 16)])
    with pytest.raises(EncoderError, match=r"case-7: .* the last 7 of 102 characters"):
        subwords.tokenize([Document("a", "dolor"), Document("case-7", "dolor " * 17)])


@pytest.mark.parametrize("end", ["\u0301", "\u0000", "\ufffd\r\n", "\u00ad\u200b", " \u00a0"])
def test_signs_that_a_tokenizer_takes_away_may_end_a_text(end: str) -> None:
    assert pieces(toys.word_piece(), "dolor" + end)[0] == "dolor"


# Special tokens


@pytest.mark.parametrize(
    ("family", "prefix", "suffix", "pad"),
    [
        ("metaspace", ["<s>"], ["</s>"], "<pad>"),
        ("word_piece", ["[CLS]"], ["[SEP]"], "[PAD]"),
        ("byte_level", ["<s>"], ["</s>"], "<pad>"),  # written as an object in its config
        ("byte_fallback", ["<s>"], [], "</s>"),  # no padding token: the end token
    ],
)
def test_special_tokens_are_found(
    family: str, prefix: list[str], suffix: list[str], pad: str
) -> None:
    subwords = toys.TOKENIZERS[family]()
    assert subwords.prefix == [subwords.id_of(token) for token in prefix]
    assert subwords.suffix == [subwords.id_of(token) for token in suffix]
    assert subwords.specials == len(prefix + suffix)
    assert subwords.pad == subwords.id_of(pad)
    assert subwords.id_of("no such token") is None


@pytest.mark.parametrize("config", ["{}", '{"pad_token": null}', '{"pad_token": "[NONE]"}'])
def test_any_id_pads_where_none_is_declared(config: str) -> None:
    files = {**toys.word_piece().files, "tokenizer_config.json": config}
    assert Subwords(files).pad == 0


# Files


def test_the_same_texts_give_the_same_vocabulary() -> None:
    texts = list(toys.DISEASES.values())
    first, second = Subwords.train(texts, 120), Subwords.train(iter(texts), 120)
    assert first.files == second.files
    assert len(first) == 120


@FAMILIES
def test_saved_subwords_are_the_same_again(family: str, tmp_path: Path) -> None:
    subwords = toys.TOKENIZERS[family]()
    subwords.save(tmp_path)
    for again in (Subwords.load(tmp_path), pickle.loads(pickle.dumps(subwords))):
        assert again.files == subwords.files
        assert (again.prefix, again.suffix, again.pad) == (
            subwords.prefix,
            subwords.suffix,
            subwords.pad,
        )
        assert pieces(again, "dolor x😀") == pieces(subwords, "dolor x😀")


def test_a_slow_tokenizer_is_converted_once(tmp_path: Path) -> None:
    pieces_of_bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dolor", "##es"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces_of_bert), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    subwords = Subwords.of_encoder(tmp_path)
    assert (subwords.prefix, subwords.suffix, subwords.pad) == ([2], [3], 0)
    assert pieces(subwords, "Dolores dolor") == ["Dolor", "es", "dolor"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no fast tokenizer"),
        ({"tokenizer.json": "version https://git-lfs.github.com/spec/v1"}, "tokenizer.json is bro"),
        ({"tokenizer.json": "{}"}, "tokenizer.json is broken"),
    ],
)
def test_files_that_are_no_tokenizer(files: dict[str, str], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        Subwords(files)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"has no fast tokenizer \(tokenizer\.json\)"):
        Subwords.of_encoder(tmp_path)


def test_a_tokenizer_without_special_tokens_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = toys.byte_fallback().files
    bare = json.loads(files["tokenizer.json"]) | {"post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(bare), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(files["tokenizer_config.json"], "utf-8")
    assert Subwords.of_encoder(tmp_path).specials == 0
    assert "puts no special tokens around a text" in caplog.text


def test_an_encoder_whose_weights_do_not_fit_is_refused(tmp_path: Path) -> None:
    """transformers would go on with random weights and a warning."""
    build_encoder(scratch_config(SIZES, toys.metaspace()), TAGS).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="weights of the encoder are missing or of another size"):
        load_encoder(tmp_path, TAGS, {"intermediate_size": 16})


# Hub


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids that were asked of a hub which cannot be reached."""
    ids: list[str] = []

    def unreachable(name: str, **_: object) -> str:
        ids.append(name)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    return ids


@pytest.mark.parametrize("name", ["BSC-LT/MrBERT-biomed", "xlm-roberta-large"])
def test_an_id_is_asked_of_the_hub_and_the_error_says_how_to_get_it_here(
    name: str, asked: list[str]
) -> None:
    with pytest.raises(EncoderError, match=rf"`hf download {name} --local-dir DIR`"):
        Subwords.of_encoder(name)
    assert asked == [name]


@pytest.mark.parametrize("path", ["/no/such/folder", "models/of/mine", "./mine", "../mine"])
def test_a_path_is_not_asked_of_the_hub(path: str, asked: list[str]) -> None:
    with pytest.raises(EncoderError, match=f"model.encoder={path}: there is no such directory"):
        load_encoder(path, TAGS, {})
    assert asked == []


# Networks


def test_config_from_scratch_takes_the_ids_of_its_vocabulary() -> None:
    subwords = toys.metaspace()
    fields = scratch_config(SIZES, subwords)
    assert {name: value for name, value in fields.items() if name not in SIZES} == {
        "bos_token_id": 0,
        "cls_token_id": 0,
        "eos_token_id": 1,
        "sep_token_id": 1,
        "pad_token_id": 3,
        "vocab_size": len(subwords),
    }


def test_a_built_encoder_names_its_outputs() -> None:
    network = build_encoder(scratch_config(SIZES, toys.metaspace()), TAGS)
    assert network.config.id2label == dict(enumerate(TAGS))
    assert network(input_ids=torch.zeros(2, 5, dtype=torch.int64)).logits.shape == (2, 5, 3)
    again = build_encoder(json.loads(network.config.to_json_string(use_diff=False)))
    assert again.config.label2id == {"O": 0, "B-DISEASE": 1, "I-DISEASE": 2}


def test_a_saved_encoder_is_loaded_in_fp32_with_a_fresh_classifier(tmp_path: Path) -> None:
    network = build_encoder(scratch_config(SIZES, toys.metaspace()), ["A", "B"])
    with quiet():
        network.to(torch.bfloat16).save_pretrained(tmp_path)  # type: ignore[arg-type]
    loaded = load_encoder(tmp_path, TAGS, {"classifier_dropout": 0.3})
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert loaded.training
    assert loaded.config.classifier_dropout == 0.3
    assert loaded.config.id2label == dict(enumerate(TAGS))
    name = "model.embeddings.tok_embeddings.weight"
    assert torch.equal(network.state_dict()[name].float(), loaded.state_dict()[name])


def test_an_unknown_dropout_is_named_with_those_that_exist(tmp_path: Path) -> None:
    build_encoder(SIZES, TAGS).config.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"has no dropuot; its dropouts are .*mlp_dropout"):
        load_encoder(tmp_path, TAGS, {"dropuot": 0.1})


def test_broken_files_of_an_encoder(tmp_path: Path) -> None:
    build_encoder(SIZES, TAGS).config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(tmp_path, TAGS, {})
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EncoderError, match=r"no usable config\.json"):
        load_encoder(tmp_path, TAGS, {})


@pytest.mark.parametrize(
    "change",
    [{"model_type": "moderbert"}, {"num_attention_heads": 3}, {"model_type": "clip"}],
    ids=str,
)
def test_fields_that_make_no_encoder(change: dict[str, Any]) -> None:
    with pytest.raises(EncoderError, match=r"model\.config \(model_type=.*\) makes no encoder"):
        build_encoder({**SIZES, **change}, TAGS)


@pytest.mark.parametrize("model_type", [*SHIFTED, "bert", "electra"])
def test_as_many_positions_as_said_and_not_one_more(model_type: str) -> None:
    fields = {**SIZES, "model_type": model_type, "vocab_size": 8, "pad_token_id": 1}
    network = build_encoder({**fields, "attention_window": 4}, TAGS)
    longest = positions(network.config)
    assert longest == (62 if model_type in SHIFTED else 64)
    text = torch.full((1, longest), 5)
    assert network(input_ids=text, attention_mask=torch.ones_like(text)).logits.shape[1] == longest
    text = torch.full((1, longest + 1), 5)
    with pytest.raises((IndexError, RuntimeError)):
        network(input_ids=text, attention_mask=torch.ones_like(text))


def test_relative_positions_have_no_end() -> None:
    network = build_encoder({"model_type": "xlnet", "d_model": 8, "n_layer": 1, "n_head": 2}, TAGS)
    assert positions(network.config) > 1_000_000
