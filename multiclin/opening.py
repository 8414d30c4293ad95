"""What a command opens before torch is there, so that a mistake is told in a blink.

torch, Lightning and transformers take seconds to import. Whatever can be refused without them is
refused here first: a name that is not there, a folder that holds another run. Nothing of this
replaces the checks of those who use the things; the same functions raise, with the same words.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multiclin.analysis.runs import find_model
from multiclin.augmentation import Augmentation
from multiclin.continuing import check_folder, check_there, result_of
from multiclin.corpus.own import OwnCorpus
from multiclin.corpus.release import normalise_language
from multiclin.corpus.replay import ReplayedCorpus
from multiclin.corpus.source import Corpus, evaluation_languages
from multiclin.corpus.texts import check_place
from multiclin.corpus.unlabelled import UnlabelledTexts
from multiclin.encoder import check_directory, check_window
from multiclin.errors import ConfigError, CorpusError
from multiclin.files import IN_USE, read_text
from multiclin.limits import check_recipe
from multiclin.masking import FIGURES, Masking
from multiclin.members import check_said, members_of
from multiclin.mixture import Sampling
from multiclin.output import Output
from multiclin.repeating import check_folder_stays
from multiclin.schema import TUNED, bias_of, labels_by_entity
from multiclin.shards import Shard
from multiclin.splitting import Splitting
from multiclin.steps import Step
from multiclin.tagging import FLATTENING, SCHEMES
from multiclin.windows import Windowing, check_context
from multiclin.words import SNAPPINGS

log = logging.getLogger(__name__)

TREE = "multiclinner"
"""The `data.format` whose sets have names of their own."""

NOT_PRETRAINED: Mapping[str, object] = {
    "model.freeze": None,
    "model.lora": None,
    "optim.head_learning_rate": None,
    "optim.crf_learning_rate": None,
    "optim.layer_decay": 1.0,
}
"""Settings of groups that pretraining shares, which must be as they are."""

CHOICES: Mapping[str, Collection[str]] = {
    "tagging.scheme": SCHEMES,
    "tagging.overlaps": FLATTENING,
    "decoding.snapping": SNAPPINGS,
}
"""Settings that are one of several names of ours."""


def check_training(config: DictConfig) -> None:
    """Raise what train.py would meet after its imports.

    Raises:
        MulticlinError: A setting, the corpus, a model to begin with or the folder of the run.
    """
    folder = Path(config.run_dir)
    check_folder_stays(config)
    if config.ckpt_path == "auto" and (folder / "model").exists():
        return  # Finished: nothing will be opened.
    check_choices(config)
    check_precision(config.trainer.precision)
    check_bias(config)
    check_recipe(config)
    Step.of(config)
    check_context(config.window.context, config.window.overlap)
    augmentation_of(config)
    if config.ckpt_path is None:
        if not (folder / IN_USE).exists():  # By whom is told where it is claimed.
            check_folder(config, folder)
    elif config.ckpt_path not in {"auto", "last"}:
        check_there(Path(config.ckpt_path))
    splitting = splitting_of(config)
    sampling = sampling_of(config)
    check_replay(config)
    if splitting.ids:
        read_text(splitting.ids)
    if config.report and config.report.native:
        read_text(Path(config.report.native))
    if config.weights is not None:
        find_model(config.weights)
    elif config.model.encoder is not None:
        check_directory(config.model.encoder)
    corpus = corpus_of(config)
    if config.data.sample is not None and not corpus.root.exists():
        return  # It will be generated.
    if config.data.format != TREE:
        check_place(corpus.root)  # To know its sets is to read all of it.
        return
    if not corpus.labels:
        corpus = corpus.with_every_label()
    if corpus.sets:
        evaluation_languages(splitting.evaluate_on, corpus.spoken)
        sampling.check(corpus.spoken)


def check_precision(precision: object) -> None:
    """Raise `ConfigError` where weights would be trained in half precision."""
    if precision in {"bf16-true", "16-true"}:
        raise ConfigError(
            f"trainer.precision={precision} would round the weights after each step, and small "
            f"steps away; say {str(precision).replace('true', 'mixed')}, or auto"
        )


def check_bias(config: DictConfig) -> None:
    """Raise `ConfigError` where a bias of mentions cannot be one."""
    labels = tuple(labels_by_entity(config.entity.labels).values())
    if labels and config.decoding.bias != TUNED:  # Else the corpus says which there are.
        bias_of(config.decoding.bias, labels)


def check_pretraining(config: DictConfig) -> None:
    """Raise what pretrain.py would meet after its imports.

    Raises:
        MulticlinError: A setting, the texts, an encoder to begin with or the folder of the run.
    """
    if is_finished(config):
        return
    check_run(config)
    check_precision(config.trainer.precision)
    for key, usual in NOT_PRETRAINED.items():
        if (value := OmegaConf.select(config, key)) != usual:
            raise ConfigError(f"{key}={value} is a setting of train.py: a pretraining has none")
    masking_of(config)
    windowing_of(config)
    unlabelled_of(config).check()
    splitting_of_texts(config)
    monitor = config.callbacks.get("checkpoint", {}).get("monitor")
    if monitor is not None and monitor not in FIGURES:
        raise ConfigError(
            f"callbacks.checkpoint.monitor={monitor} is no figure of a pretraining; say "
            "callbacks.checkpoint.monitor=val/loss callbacks.checkpoint.mode=min"
        )
    fields: Mapping[str, Any] = OmegaConf.to_container(config.model.config)  # type: ignore[assignment]
    if config.model.encoder is not None:
        check_directory(config.model.encoder)
        fields = {**described(Path(config.model.encoder)), **fields}
    if {"model_type", "max_position_embeddings"} <= fields.keys():
        check_window(config.window.size, SimpleNamespace(**{"pad_token_id": 0, **fields}))


def described(encoder: Path) -> dict[str, Any]:
    """What an encoder's folder says of it; nothing where it cannot be read, which is told later."""
    with suppress(CorpusError, ValueError):
        found = json.loads(read_text(encoder / "config.json"))
        return found if isinstance(found, dict) else {}
    return {}


def is_finished(config: DictConfig) -> bool:
    """Whether `ckpt_path=auto` will find that nothing is to be done: nothing will be opened."""
    check_folder_stays(config)
    return config.ckpt_path == "auto" and result_of(Path(config.run_dir)) is not None


def check_run(config: DictConfig) -> None:
    """Raise `MulticlinError` where the folder or the steps of a run cannot be as configured."""
    folder = Path(config.run_dir)
    Step.of(config)
    if config.ckpt_path is None:
        if not (folder / IN_USE).exists():  # By whom is told where it is claimed.
            check_folder(config, folder)
    elif config.ckpt_path not in {"auto", "last"}:
        check_there(Path(config.ckpt_path))


def check_prediction(config: DictConfig) -> None:
    """Raise what predict.py would meet after its imports.

    Raises:
        MulticlinError: A setting, the model, the texts, their gold, or what stands in the output.
    """
    check_choices(config)
    Shard.parse(config.shard)
    output_of(config)
    check_said(members_of(config.ckpt))
    check_place(Path(config.input))
    if config.report and config.report.native:
        read_text(Path(config.report.native))


def check_replay(config: DictConfig) -> None:
    """Raise where an older corpus cannot be replayed.

    Raises:
        ConfigError: There is no older model.
        CorpusError: There is no such folder.
    """
    replay = config.data.replay
    if replay.root is None:
        return
    if config.weights is None:
        raise ConfigError(
            f"data.replay.root={replay.root}: a model that begins anew has nothing to forget; "
            "weights=MODEL says which model goes on"
        )
    check_place(Path(replay.root))


def check_choices(config: DictConfig) -> None:
    """Raise `ConfigError` where a setting is none of its names; null leaves it to the model."""
    for key, names in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in names:
            raise ConfigError(f"{key}={value} is unknown; choose from {', '.join(names)}")


def open_corpus(config: DictConfig) -> Corpus:
    """The corpus of the config; a sample corpus is generated at first use.

    Where the config names no labels the corpus says which there are.
    """
    corpus = corpus_of(config)
    if config.data.sample is not None and not corpus.root.exists():
        from multiclin.corpus.sample import generate

        log.info("generating the sample corpus in %s", corpus.root)
        generate(corpus.root, **OmegaConf.to_container(config.data.sample))  # type: ignore[arg-type]
    if not corpus.labels:
        corpus = corpus.with_every_label()
        log.info("labels of the corpus: %s", ", ".join(corpus.labels.values()))
    log.info("%d annotated sets in %s", len(corpus.sets), corpus.root)
    return corpus


def corpus_of(config: DictConfig) -> Corpus:
    """The corpus that a config describes, with the one that is replayed; nothing is read yet."""
    corpus, replay = _corpus(config, config.data, config.languages), config.data.replay
    if replay.root is None:
        return corpus
    return ReplayedCorpus.of(corpus, _corpus(config, replay, replay.languages))


def _corpus(config: DictConfig, data: DictConfig, languages: Any) -> Corpus:  # noqa: ANN401
    """A corpus by the settings `root`, `format`, `language` and `texts`."""
    root, languages = Path(data.root), _plain(languages) or "all"
    labels, discontinuous = labels_by_entity(config.entity.labels), config.data.discontinuous
    if data.format == TREE:
        return Corpus(root, labels, languages, discontinuous)
    return OwnCorpus(
        root,
        labels,
        languages,
        discontinuous,
        format=data.format,
        language=data.language or "",
        texts=Path(data.texts) if data.texts else None,
    )


def splitting_of(config: DictConfig) -> Splitting:
    """How a config shares the documents out."""
    chosen, fraction = config.data.validation, config.data.fraction
    return Splitting(
        chosen.share,
        chosen.seed,
        _plain(chosen.evaluate_on),
        Path(chosen.ids) if chosen.ids else None,
        chosen.keep_translations,
        config.fold,
        chosen.folds,
        None if fraction == 1 else (fraction, config.seed),
        _plain(config.data.replay.evaluate_on),
    )


def sampling_of(config: DictConfig) -> Sampling:
    """How a config draws the windows of an epoch."""
    drawn = config.data.sampling
    languages = _plain(drawn.focus.languages) or ()
    return Sampling(
        drawn.temperature,
        tuple(map(normalise_language, [languages] if isinstance(languages, str) else languages)),
        drawn.focus.last,
        config.trainer.max_epochs or 0,
        config.data.replay.share,
    )


def augmentation_of(config: DictConfig) -> Augmentation:
    """What a config changes in the windows of a training."""
    return Augmentation(**config.augmentation)


def unlabelled_of(config: DictConfig) -> UnlabelledTexts:
    """The texts of a pretraining; nothing is read yet."""
    inputs, exclude = (tuple(map(Path, _listed(config[key]))) for key in ("input", "exclude"))
    return UnlabelledTexts(inputs, exclude, tuple(_listed(config.exclude_splits)))


def masking_of(config: DictConfig) -> Masking:
    """How a pretraining masks tokens."""
    return Masking(**OmegaConf.to_container(config.masking))  # type: ignore[arg-type]


def windowing_of(config: DictConfig, specials: int = 2) -> Windowing:
    """How a pretraining cuts texts."""
    return Windowing(config.window.size, config.window.overlap, specials)


def splitting_of_texts(config: DictConfig) -> Splitting:
    """How a pretraining holds documents out: a share of the cases of every language."""
    chosen = config.data.validation
    if not 0 <= chosen.share < 1:
        raise ConfigError(f"data.validation.share={chosen.share} must be from 0 to below 1")
    return Splitting(chosen.share, chosen.seed, "all")


def output_of(config: DictConfig) -> Output:
    """The files of a prediction, which do not stand there yet."""
    formats = (config.formats,) if isinstance(config.formats, str) else tuple(config.formats)
    keep = config.report.documents if config.report else 0
    return Output(Path(config.output), formats, config.overwrite, keep, Path(config.input))


def _listed(value: Any) -> list[str]:  # noqa: ANN401 - a config's value
    """One or several."""
    return [str(one) for one in value] if OmegaConf.is_config(value) else [str(value)]


def _plain(value: Any) -> str | Sequence[str] | None:  # noqa: ANN401 - a config's value
    if OmegaConf.is_config(value):
        return list(value)
    return value  # type: ignore[no-any-return]
