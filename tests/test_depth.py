"""How deep weights lie in encoders that share no names."""

from __future__ import annotations

from collections import Counter

import pytest

from multiclin.depth import depths
from multiclin.errors import ConfigError
from tests.test_flat import network

LAYERS = 3
BEHIND = LAYERS + 1


@pytest.mark.parametrize(
    ("model_type", "embeddings", "behind"),
    [
        # Table and norm; the final norm.
        ("modernbert", 2, 1),
        # Words, positions, types, norm and its bias; nothing stands behind.
        ("bert", 5, 0),
        ("xlm-roberta", 5, 0),
        # The same, and their projection to the width of the layers.
        ("electra", 7, 0),
    ],
)
def test_embeddings_lie_at_the_bottom(model_type: str, embeddings: int, behind: int) -> None:
    fields = {"embedding_size": 16} if model_type == "electra" else {}
    found = Counter(depths(network(model_type, **fields)).values())
    assert (found[0], found[BEHIND]) == (embeddings, behind)
    assert sorted(found.keys() - {0, BEHIND}) == [1, 2, 3]


def test_a_layer_is_one_deeper_than_its_number() -> None:
    found = depths(network("bert"))
    assert found["bert.encoder.layer.0.output.dense.weight"] == 1
    assert found["bert.encoder.layer.2.attention.self.query.bias"] == 3
    assert found["bert.embeddings.word_embeddings.weight"] == 0


def test_positions_made_behind_the_layers_are_embeddings_too() -> None:
    found = depths(network("mpnet"))
    assert found["mpnet.encoder.relative_attention_bias.weight"] == 0


def test_a_classifier_is_not_of_the_body() -> None:
    made = network("modernbert")
    names = {name for name, _ in made.named_parameters()}
    assert names - depths(made).keys() == {
        *("head.dense.weight", "head.norm.weight"),
        *("classifier.weight", "classifier.bias"),
    }


def test_shared_layers_have_no_depth() -> None:
    with pytest.raises(ConfigError, match=r"the layers of this encoder \(albert\) are no list"):
        depths(network("albert", embedding_size=16))
