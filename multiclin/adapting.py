"""Training a part of an encoder, or in less memory: frozen layers, LoRA, gradient checkpointing.

Freezing leaves embeddings, or these and a number of lower layers, as they were pretrained: their
gradients and the optimizer's moments (12 bytes per weight) are saved, and where the lowest layers
are frozen the backward pass ends above them.

LoRA (Hu et al. 2021, arXiv 2106.09685) freezes the whole body and trains, for each of its matrices
W, an update B A of rank r, added with the factor alpha / r. Classifier and heads train as ever. The
update is part of the matrix once it is merged, so a bundle is a plain encoder, and so is what
`merged` makes of a checkpoint: to predict from either needs no peft.

Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) keeps what goes into a layer, and
computes the layer once more in the backward pass: half as much time again for a fraction of the
activations, with the same gradients. Random generators are put back for it, so dropout is the same.

Cost (`small`, 8 windows of 512, ratios of a step's time and memory; tests/costs.py): three of six
layers frozen 0.7 and 0.7, LoRA 1.15 and 0.95, gradient checkpointing 1.5 and 0.7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from multiclin.depth import depths
from multiclin.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDINGS = "embeddings"
"""`model.freeze` of the embeddings alone."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """The updates of LoRA.

    Attributes:
        r: Their rank.
        alpha: Their factor is `alpha / r`.
        targets: Names of the matrices that get one, or `all-linear`.
        dropout: Of what goes into an update.
    """

    r: int
    alpha: float
    targets: str | Sequence[str]
    dropout: float


def freeze(network: PreTrainedModel, lowest: int | str) -> None:
    """Take the lowest weights of an encoder out of training.

    Args:
        network: A token classifier.
        lowest: `embeddings`, or how many layers beside them; 0: nothing.

    Raises:
        ConfigError: There are not so many layers, or they share their weights.
    """
    if lowest == 0:
        return
    depth, there = depths(network), network.config.num_hidden_layers
    layers = 0 if lowest == EMBEDDINGS else int(lowest)
    if layers > there:
        raise ConfigError(
            f"model.freeze={lowest}: this encoder has {there} layers; say {there} or less"
        )
    for name, weights in network.named_parameters():
        if depth.get(name, there + 1) <= layers:
            weights.requires_grad = False


def checkpoint_layers(network: PreTrainedModel) -> None:
    """Let each layer be computed again in the backward pass, in training.

    Raises:
        ConfigError: transformers cannot do it with this encoder.
    """
    try:
        network.activation_checkpointing_enable({"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"model.gradient_checkpointing=true: {error}") from error
    # Which the older, reentrant kind needs: it would take frozen embeddings back into the graph.
    network.disable_input_require_grads()  # type: ignore[no-untyped-call]


def add_low_rank(network: PreTrainedModel, lora: LowRank) -> None:
    """Freeze an encoder's body, and give its matrices updates to train.

    Raises:
        ConfigError: peft cannot, or a target is no linear layer.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    settings: dict[str, Any] = {"lora_alpha": lora.alpha, "lora_dropout": lora.dropout}
    config = LoraConfig(r=lora.r, target_modules=targets, **settings)
    try:
        inject_adapter_in_model(config, network.base_model)
    except ValueError as error:
        raise ConfigError(f"model.lora.targets={lora.targets}: {error}") from error
    for name, module in network.named_modules():
        if isinstance(module, LoraLayer) and not isinstance(module.get_base_layer(), nn.Linear):
            raise ConfigError(f"model.lora.targets: {name} is no linear layer; name others")


def merged(weights: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """The weights of a network with updates of LoRA as those of a plain one.

    Args:
        weights: By name; those without updates come back as they are.
        alpha: Of `LowRank`; the rank is that of the updates.

    Example:
        `q.base_layer.weight`, `q.lora_A.default.weight` (r, in) and `q.lora_B.default.weight`
        (out, r) become `q.weight`; `q.base_layer.bias` becomes `q.bias`.
    """
    found: dict[str, Tensor] = {}
    for name, one in weights.items():
        if ".lora_" in name:
            continue
        layer, base, kind = name.rpartition("base_layer.")
        if base and kind == "weight":
            down, up = (weights[f"{layer}lora_{which}.default.weight"] for which in "AB")
            found[layer + kind] = one + (up @ down) * (alpha / len(down))
        else:
            found[layer + kind if base else name] = one
    return found


def merge(network: nn.Module, alpha: float) -> None:
    """Put the updates of LoRA into the matrices, in place: a plain network is left.

    Args:
        network: One that `add_low_rank` has changed.
        alpha: Of `LowRank`.
    """
    weights = merged(network.state_dict(), alpha)
    plain: dict[str, Any] = {
        name: module.get_base_layer()
        for name, module in network.named_modules()
        if hasattr(module, "get_base_layer")
    }
    for name, layer in plain.items():
        above, _, own = name.rpartition(".")
        setattr(network.get_submodule(above), own, layer)
    network.load_state_dict(weights)
