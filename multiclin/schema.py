"""The types of the settings that are ours, so that a wrong value is named before anything runs.

`optim.learning_rate=fast` or `window.size=half` is then a mistake of the config, told with its key,
and not an exception from inside an optimizer an hour later. What belongs to others (Lightning's
Trainer, callbacks, loggers, an encoder's own fields) is left to their constructors. The values
themselves stand in `conf/` alone; a field here has a type, never a default. (DESIGN section 2.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from multiclin.errors import ConfigError


@dataclass
class Entity:
    """Labels that a model finds; see `labels_by_entity`."""

    name: str = MISSING
    labels: Any = MISSING


@dataclass
class Validation:
    """How validation documents are chosen."""

    share: float = MISSING
    seed: int = MISSING
    folds: int = MISSING
    ids: str | None = MISSING
    keep_translations: bool = MISSING
    evaluate_on: Any = MISSING
    fraction: float = MISSING


@dataclass
class Focus:
    """Languages that the last epochs have alone."""

    languages: Any = MISSING
    last: float = MISSING


@dataclass
class Sampling:
    """How often windows come in an epoch."""

    temperature: float = MISSING
    focus: Focus = MISSING


@dataclass
class Replay:
    """A corpus that was trained on before."""

    root: str | None = MISSING
    share: float = MISSING
    languages: Any = MISSING
    evaluate_on: Any = MISSING
    format: str = MISSING
    language: str | None = MISSING
    texts: str | None = MISSING


@dataclass
class Data:
    """The corpus, its split and its batches."""

    root: str = MISSING
    format: str = MISSING
    language: str | None = MISSING
    texts: str | None = MISSING
    sample: Any = MISSING
    discontinuous: str = MISSING
    validation: Validation = MISSING
    fraction: float = MISSING
    sampling: Sampling = MISSING
    replay: Replay = MISSING
    batch_size: int = MISSING
    effective_batch_size: int | None = MISSING
    evaluation_batch_size: int = MISSING
    workers: int | None = MISSING
    cache: str = MISSING


@dataclass
class LowRank:
    """Updates of LoRA."""

    r: int = MISSING
    alpha: float = MISSING
    targets: Any = MISSING
    dropout: float = MISSING


@dataclass
class Encoder:
    """A pretrained encoder, or the size of a new one."""

    name: str = MISSING
    encoder: str | None = MISSING
    vocabulary: int | None = MISSING
    config: dict[str, Any] = MISSING
    freeze: Any = MISSING
    gradient_checkpointing: bool = MISSING
    lora: LowRank | None = MISSING


@dataclass
class Head:
    """The head over the encoder."""

    name: str = MISSING


@dataclass
class Loss:
    """The loss of single tokens that is trained on."""

    gamma: float = MISSING
    smoothing: float = MISSING
    weights: Any = MISSING


@dataclass
class Regularization:
    """What is added to the loss."""

    r_drop: float = MISSING
    fgm: float = MISSING


@dataclass
class Optim:
    """Optimizer and schedule."""

    learning_rate: float = MISSING
    head_learning_rate: float | None = MISSING
    crf_learning_rate: float | None = MISSING
    layer_decay: float = MISSING
    weight_decay: float = MISSING
    warmup_ratio: float = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING


@dataclass
class Window:
    """Windows, in subwords."""

    size: int = MISSING
    overlap: int = MISSING


@dataclass
class TaggedWindow(Window):
    """Windows with tags; `context` of their tokens at each end have none."""

    context: int = MISSING


@dataclass
class Tags:
    """How mentions become tags."""

    scheme: str = MISSING
    overlaps: str = MISSING
    layers: int = MISSING


@dataclass
class Augmentation:
    """Shares of what is changed in the windows of a training."""

    random: float = MISSING
    unknown: float = MISSING
    mentions: float = MISSING
    case: float = MISSING
    diacritics: float = MISSING
    abbreviations: float = MISSING


@dataclass
class Decoding:
    """How emissions become mentions; None in prediction: as the model was validated."""

    whole_words: bool | None = MISSING
    snapping: str | None = MISSING
    inner: str | None = MISSING
    min_score: float | None = MISSING
    bias: Any = MISSING


@dataclass
class Privacy:
    """What may be said of texts where nobody looks for them."""

    log_text: bool = MISSING


@dataclass
class Report:
    """The pages of a run."""

    texts: bool = MISSING
    native: str | None = MISSING


@dataclass
class PredictionReport(Report):
    """The pages of a prediction."""

    documents: int = MISSING


@dataclass
class Hpo:
    """A search; `slot`, `trial` and `run` are set for each job by the sweeper."""

    study: str = MISSING
    storage: str | None = MISSING
    n_trials: int = MISSING
    n_jobs: int = MISSING
    objective: str = MISSING
    direction: str = MISSING
    max_failure_rate: float = MISSING
    keep: str = MISSING
    confirm: int = MISSING
    seeds: list[int] = MISSING
    pruner: Any = MISSING
    trial: int | None = MISSING
    run: str | None = MISSING
    slot: int | None = MISSING


@dataclass
class Train:
    """`conf/train.yaml`."""

    entity: Entity = MISSING
    data: Data = MISSING
    model: Encoder = MISSING
    head: Head = MISSING
    loss: Loss = MISSING
    optim: Optim = MISSING
    regularization: Regularization = MISSING
    trainer: Any = MISSING
    callbacks: Any = MISSING
    logger: Any = MISSING
    seed: int = MISSING
    fold: int | None = MISSING
    languages: Any = MISSING
    ckpt_path: str | None = MISSING
    weights: str | None = MISSING
    window: TaggedWindow = MISSING
    tagging: Tags = MISSING
    augmentation: Augmentation = MISSING
    decoding: Decoding = MISSING
    report: Report | None = MISSING
    privacy: Privacy = MISSING
    run_dir: str = MISSING
    run_name: str = MISSING
    run_group: str = MISSING
    strategy: str | None = None
    hpo: Hpo | None = None
    tuned: Any = None


@dataclass
class Masks:
    """Which tokens a language model has to find."""

    whole_words: bool = MISSING
    share: float = MISSING
    mask: float = MISSING
    random: float = MISSING
    stop: float = MISSING
    longest: int = MISSING


@dataclass
class HeldOut:
    """Which texts of a pretraining validate."""

    share: float = MISSING
    seed: int = MISSING


@dataclass
class TextData:
    """Validation and batches of a pretraining."""

    validation: HeldOut = MISSING
    batch_size: int = MISSING
    effective_batch_size: int | None = MISSING
    evaluation_batch_size: int = MISSING
    workers: int | None = MISSING
    cache: str = MISSING


@dataclass
class Pretrain:
    """`conf/pretrain.yaml`."""

    input: Any = MISSING
    exclude: Any = MISSING
    exclude_splits: Any = MISSING
    masking: Masks = MISSING
    data: TextData = MISSING
    model: Encoder = MISSING
    optim: Optim = MISSING
    trainer: Any = MISSING
    callbacks: Any = MISSING
    logger: Any = MISSING
    seed: int = MISSING
    ckpt_path: str | None = MISSING
    window: Window = MISSING
    report: bool = MISSING
    privacy: Privacy = MISSING
    name: str = MISSING
    run_dir: str = MISSING
    run_name: str = MISSING
    run_group: str = MISSING


@dataclass
class Predict:
    """`conf/predict.yaml`."""

    ckpt: Any = MISSING
    input: str = MISSING
    output: str = MISSING
    shard: str | None = MISSING
    formats: Any = MISSING
    overwrite: bool = MISSING
    gold: str | None = MISSING
    report: PredictionReport | None = MISSING
    privacy: Privacy = MISSING
    batch_size: int = MISSING
    workers: int | None = MISSING
    precision: str = MISSING
    decoding: Decoding = MISSING
    trainer: Any = MISSING
    run_dir: str = MISSING


def register() -> None:
    """Make the schemas known to Hydra as `train_schema` and so on."""
    store = ConfigStore.instance()
    for schema in (Train, Pretrain, Predict):
        store.store(f"{schema.__name__.lower()}_schema", schema, replace=True)


def labels_by_entity(labels: object) -> dict[str, str]:
    """The value of `entity.labels` as label by entity; empty for all that the corpus has.

    Args:
        labels: A mapping of entity (the folder in a MultiClinNER tree) to label, or a list of
            labels, whose entities are then their names in small letters.

    Raises:
        ConfigError: It is neither.

    Example:
        >>> labels_by_entity(["FARMACO", "ENFERMEDAD"])
        {'farmaco': 'FARMACO', 'enfermedad': 'ENFERMEDAD'}
    """
    plain = OmegaConf.to_container(labels) if OmegaConf.is_config(labels) else labels
    if isinstance(plain, list) and all(isinstance(label, str) for label in plain):
        small = {label.lower(): label for label in plain}
        return small if len(small) == len(plain) else {label: label for label in plain}
    if not isinstance(plain, dict) or not all(isinstance(one, str) for one in plain.values()):
        raise ConfigError(
            f"entity.labels={plain}: give a list of labels, such as [FARMACO,SINTOMA]"
        )
    return {str(entity): label for entity, label in plain.items()}


TUNED = "tuned"
"""The value of `decoding.bias` that has it chosen on validation."""


def bias_of(value: object, labels: Sequence[str]) -> tuple[float, ...]:
    """The value of `decoding.bias` as a number per label; empty where all are 0.

    Args:
        value: A number for all labels, or a mapping of label to number; others have 0.
        labels: The labels.

    Raises:
        ConfigError: It is neither, or of a label that is not there.
    """
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    by_label: dict[str, Any] = plain if isinstance(plain, dict) else dict.fromkeys(labels, plain)
    if strangers := sorted(set(map(str, by_label)) - set(labels)):
        raise ConfigError(
            f"decoding.bias is given for {', '.join(strangers)}; the labels are {', '.join(labels)}"
        )
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in by_label.values()):
        raise ConfigError(
            f"decoding.bias={plain}: give a number, such as 0.5 for more mentions, or one for each "
            "label, such as {DISEASE:0.5}"
        )
    found = tuple(float(by_label.get(label, 0.0)) for label in labels)
    return found if any(found) else ()
