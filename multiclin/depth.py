"""How deep in an encoder a weight lies, whatever the encoder is called.

transformers' encoders share no names, but an order: embeddings, a list of as many modules as the
config says there are layers, and what stands behind them. So depth is found from the list, and an
embedding that is made behind it (relative positions of DeBERTa or MPNet) lies at the bottom too.

    weight                          ModernBERT, 22 layers    BERT, 12 layers
    embeddings                      0                        0
    the first layer                 1                        1
    the last layer                  22                       12
    norms and projections behind    23                       13
    classifier                      none: not of the body    none
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from multiclin.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def depths(network: PreTrainedModel) -> dict[str, int]:
    """The depth of each weight of an encoder's body, by name.

    Args:
        network: A token classifier.

    Raises:
        ConfigError: Its layers are no list (ALBERT's share their weights).
    """
    body, layers = f"{network.base_model_prefix}.", _layers(network)
    behind = network.config.num_hidden_layers + 1
    tables = {name for name, one in network.named_modules() if isinstance(one, nn.Embedding)}
    found: dict[str, int] = {}
    before = True
    for name, _ in network.named_parameters():
        if name.startswith(layers):
            before = False
            found[name] = int(name.removeprefix(layers).partition(".")[0]) + 1
        elif name.startswith(body):
            is_embedding = before or name.rpartition(".")[0] in tables
            found[name] = 0 if is_embedding else behind
    return found


def _layers(network: PreTrainedModel) -> str:
    """The name of the list of layers, with a dot behind it."""
    count = getattr(network.config, "num_hidden_layers", None)
    for name, module in network.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return f"{name}."
    raise ConfigError(
        f"the layers of this encoder ({network.config.model_type}) are no list: leave "
        "optim.layer_decay at 1.0 and model.freeze at null"
    )
