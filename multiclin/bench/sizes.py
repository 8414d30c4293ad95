"""Shapes of ModernBERT that can be raced without their weights."""

from __future__ import annotations

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 96,
        "vocab_size": 1000,
    },
    "small": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "intermediate_size": 576,
        "vocab_size": 16_000,
    },
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "vocab_size": 51_200,
    },
}
"""For trying the command; `model=small`; MrBERT-es, 149M parameters (FACTS 4)."""
