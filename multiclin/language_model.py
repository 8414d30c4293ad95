"""An encoder that finds masked tokens, and how it becomes one that `train.py` begins with.

The head over the vocabulary is half of the work of a small model (16,000 outputs over a width of
384), and only masked tokens need it: between the encoder and its head all others are left out,
whatever the type of the encoder, by a hook on its body. The encoder itself runs on rows without
padding where it takes them (`flat`). The loss is that of transformers' padded network, to rounding.

What is saved is a folder in Hugging Face layout: config.json, model.safetensors, tokenizer files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional

from multiclin import flat
from multiclin.bundle import PRETRAINING
from multiclin.encoder import Subwords, check_window, quiet
from multiclin.errors import EncoderError
from multiclin.files import atomic_folder
from multiclin.masking import Masker, Masking
from multiclin.windows import IGNORED, Windowing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MULTIPLE = 64
"""Rows of the head's matrix products come in multiples of it: oneDNN makes and keeps a program for
every size that it meets (8 % faster, 13 % less memory)."""

FACTS = "pretraining.json"
"""What the folder of an encoder says of its pretraining."""


class MaskedTokens(nn.Module):
    """A network that finds masked tokens.

    Args:
        network: A transformers model with a head over its vocabulary.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        flat.prepare(network)
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of masked tokens.

        Args:
            ids: What is read, shape (batch, length).
            mask: 1 for tokens, 0 for padding behind them, shape (batch, length).
            labels: Ids to be found, `IGNORED` where nothing is masked, shape (batch, length).

        Returns:
            Over the vocabulary, fp32, shape (masked, vocabulary), and the ids that should be
            found, shape (masked,), in an order of their own. Filled up to a `MULTIPLE` with tokens
            that nobody asked for, whose ids are `IGNORED`.
        """
        packed = flat.Packed.of(mask) if flat.takes_rows(self.network) else None
        labels = packed.take(labels) if packed else labels.flatten()
        masked = (labels != IGNORED).nonzero()[:, 0]
        filling = (0, -len(masked) % MULTIPLE)
        wanted = functional.pad(labels[masked], filling, value=IGNORED)
        with _only(self.network, functional.pad(masked, filling)):
            if packed:
                logits = packed.compute(self.network, ids)
            else:
                logits = self.network(input_ids=ids, attention_mask=mask).logits
        return logits[0].float(), wanted


def summed(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy, summed over what is to be found; zero with a gradient where nothing is.

    Args:
        logits: Shape (masked, vocabulary).
        wanted: Ids, `IGNORED` where nothing is to be found, shape (masked,).
    """
    return functional.cross_entropy(logits, wanted, reduction="sum", ignore_index=IGNORED)


@contextmanager
def _only(network: PreTrainedModel, tokens: Tensor) -> Iterator[None]:
    """Inside, the head of a network sees these tokens of its body alone.

    Args:
        network: A network with a body and a head.
        tokens: Their numbers in all windows one after the other, shape (tokens,).
    """

    def select(_: nn.Module, __: object, output: Any) -> Any:  # noqa: ANN401 - of any type
        states: Tensor = output.last_hidden_state
        output.last_hidden_state = states.flatten(0, 1)[tokens][None]
        return output

    hook = network.base_model.register_forward_hook(select)
    try:
        yield
    finally:
        hook.remove()


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A network with what its pretraining needs.

    Attributes:
        subwords: Its tokenizer.
        network: It.
        windowing: How texts are cut.
        masking: How tokens are masked.
    """

    subwords: Subwords
    network: MaskedTokens
    windowing: Windowing
    masking: Masking

    @classmethod
    def of(
        cls, subwords: Subwords, network: PreTrainedModel, windowing: Windowing, masking: Masking
    ) -> LanguageModel:
        """Join them.

        Raises:
            ConfigError: The windows are longer than the encoder can read.
            EncoderError: The tokenizer has no mask token.
        """
        check_window(windowing.size, network.config)
        if subwords.mask is None:
            raise EncoderError("the tokenizer has no mask token: this encoder cannot be pretrained")
        return cls(subwords, MaskedTokens(network), windowing, masking)

    @property
    def masker(self) -> Masker:
        """What masks windows."""
        assert self.subwords.mask is not None
        return Masker(self.masking, self.subwords.mask, self.subwords.ordinary)

    def facts(self) -> dict[str, Any]:
        """Everything but the weights, as primitives: what a checkpoint carries."""
        config = json.loads(self.network.network.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)
        return {"kind": PRETRAINING, "config": config, "tokenizer": self.subwords.files}

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write the encoder; its folder appears whole or not at all.

        Args:
            folder: Where to; must not exist yet.
            about: Where it comes from.

        Raises:
            OutputError: The folder exists or cannot be written.
        """
        with atomic_folder(folder) as building:
            with quiet():
                self.network.network.save_pretrained(building)
            self.subwords.save(building)
            said = json.dumps(about, indent=2, ensure_ascii=False)
            (building / FACTS).write_text(f"{said}\n", "utf-8")
