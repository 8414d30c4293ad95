"""The one adapter to Hugging Face: encoders, their tokenizers, new ones from scratch.

Everything that is foreign in name or habit stays here. An encoder comes from the hub, from a local
directory, or is built small from a table of sizes with a subword vocabulary trained on the training
texts (no network). Weights are always loaded in fp32: a bf16 checkpoint would otherwise leave the
optimizer without master weights (FACTS 4).

The network is transformers' own token-classification class with one output per tag of every label,
so a trained model with a linear head opens in transformers unchanged.

No file of an encoder is run: code beside it is never asked for (`trust_remote_code`), weights are
safetensors, and a config cannot name a kernel of the hub, which is code too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tokenizers

from multiclin.document import Document
from multiclin.errors import ConfigError, EncoderError
from multiclin.windows import Tokenized, trim_offsets

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int32]

SPECIALS = ("<s>", "</s>", "<unk>", "<pad>", "<mask>")

SHIFTED = (
    *("camembert", "data2vec-text", "ibert", "longformer", "mpnet"),
    *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
)
"""Model types that count positions from the padding id on, RoBERTa's family."""


NOT_FAST = (
    "has no fast tokenizer (tokenizer.json), which gives the character offsets; with sentencepiece "
    "and tiktoken installed, transformers' AutoTokenizer.from_pretrained(...).save_pretrained(DIR) "
    "may make one: then say model.encoder=DIR"
)


class Subwords:
    """A fast tokenizer that never truncates, and knows its special tokens.

    Args:
        files: Contents of the tokenizer's files in Hugging Face layout by name; `tokenizer.json`
            is needed.

    Attributes:
        files: The same; whoever saves a model writes them back as they came.
        prefix: Ids that stand before the text of every window.
        suffix: Ids that stand after it.
        pad: Id that fills a batch.

    Raises:
        EncoderError: There is no `tokenizer.json`, or it is broken.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        if "tokenizer.json" not in self.files:
            raise EncoderError(f"the encoder {NOT_FAST}")
        try:
            self._backend = tokenizers.Tokenizer.from_str(self.files["tokenizer.json"])
        except Exception as error:  # tokenizers raises nothing more special
            raise EncoderError(
                f"the encoder's tokenizer.json is broken ({error}); copy it again (a git clone "
                "without git-lfs leaves a pointer in its place)"
            ) from error
        # A saved tokenizer can carry max_length and padding: both would silently change the text.
        self._backend.no_truncation()
        self._backend.no_padding()
        self.prefix, self.suffix = self._specials()
        self.pad = self._pad_id()

    @classmethod
    def load(cls, folder: Path) -> Subwords:
        """From files that `save` wrote. Raises EncoderError where there are none."""
        names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        return cls({n: (folder / n).read_text("utf-8") for n in names if (folder / n).is_file()})

    @classmethod
    def of_encoder(cls, source: str | Path) -> Subwords:
        """The tokenizer of an encoder in a directory or on the hub.

        It is taken as transformers sets it up, for a `tokenizer_config.json` can ask for special
        tokens, lower case or a leading space that its `tokenizer.json` does not know of.

        Raises:
            EncoderError: There is none, or it has no fast form.
        """
        folder = _local(source, ["*.json", "*.txt", "*.model"])
        subwords = cls(_as_set_up(folder))
        if not subwords.specials:
            log.warning("the tokenizer of %s puts no special tokens around a text", source)
        return subwords

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> Subwords:
        """A BPE vocabulary learned from texts; the same texts give the same one.

        A character that no text holds becomes `<unk>`, one for each, with its own offsets.
        """
        from tokenizers import decoders, models, pre_tokenizers, processors, trainers

        backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                # A line's first word is to be the same piece as inside a line.
                pre_tokenizers.Split("\n", "isolated"),
                pre_tokenizers.Metaspace(),
                pre_tokenizers.Punctuation(),
                pre_tokenizers.Digits(True),
            ]
        )
        backend.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=list(SPECIALS), show_progress=False
        )
        backend.train_from_iterator(texts, trainer)
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "cls_token": "<s>",
            "eos_token": "</s>",
            "sep_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "mask_token": "<mask>",
            "model_max_length": 8192,
        }
        files = {"tokenizer.json": backend.to_str(), "tokenizer_config.json": json.dumps(config)}
        return cls(files)

    def __len__(self) -> int:
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def specials(self) -> int:
        """Special tokens around a window."""
        return len(self.prefix) + len(self.suffix)

    @property
    def mask(self) -> int | None:
        """Id of the token that stands for a masked one; None where there is none."""
        declared = self._declared(self._config(), "mask_token")
        return self.id_of("<mask>") if declared is None else declared

    @property
    def ordinary(self) -> npt.NDArray[np.int64]:
        """Ids of all tokens but the special ones, ascending."""
        added = self._backend.get_added_tokens_decoder()
        special: set[int | None] = {number for number, token in added.items() if token.special}
        special |= {*self.prefix, *self.suffix, self.pad, self.mask, self.unknown}
        return np.array(sorted({*self._backend.get_vocab().values()} - special), dtype=np.int64)

    def id_of(self, token: str) -> int | None:
        """Vocabulary id of a token, None where there is none."""
        number = self._backend.token_to_id(token)
        return None if number is None else int(number)

    def tokenize(self, documents: Sequence[Document]) -> list[Tokenized]:
        """Whole texts to subwords with trimmed character offsets; nothing is cut off.

        The texts of one call are shared by all cores (TOKENIZERS_PARALLELISM=false: one).

        Raises:
            EncoderError: The tokenizer has left out the end of a text.
        """
        texts = [document.text for document in documents]
        encodings = self._backend.encode_batch(texts, add_special_tokens=False)
        tokenized = []
        for document, encoding in zip(documents, encodings, strict=True):
            ids, starts, ends = _trimmed(document.text, encoding)
            tokenized.append(Tokenized(document, ids, starts, ends))
            self._check_end(document, int(ends[-1]) if len(ends) else 0)
        return tokenized

    def cut(self, text: str) -> tuple[Ints, Ints, Ints]:
        """Ids, starts and ends of a short text as in `tokenize`, without its threads.

        They would not outlive the fork of a worker process.
        """
        return _trimmed(text, self._backend.encode(text, add_special_tokens=False))

    @cached_property
    def unknown(self) -> int | None:
        """Id of the token for the unknown; of the mask where there is none, None without either."""
        declared = {"unk_token": getattr(self._backend.model, "unk_token", None), **self._config()}
        return self._declared(declared, "unk_token", "mask_token")

    def save(self, folder: Path) -> None:
        """Write the files in Hugging Face layout."""
        for name, content in self.files.items():
            (folder / name).write_text(content, "utf-8")

    def _check_end(self, document: Document, end: int) -> None:
        """Raise where the text goes on behind its last token, as if it had been truncated.

        A tokenizer may take signs away (controls, accents): those have no token by themselves.
        """
        rest = document.text[end:]
        if not rest.strip():
            return
        offsets = self._backend.encode(rest, add_special_tokens=False).offsets
        starts, ends = trim_offsets(rest, *np.array(offsets, dtype=np.int32).reshape(-1, 2).T)
        if (starts < ends).any():
            raise EncoderError(
                f"{document.id}: the tokenizer has left out the last {len(rest):,} of "
                f"{len(document.text):,} characters; take the tokenizer.json of the encoder as it "
                "was published"
            )

    def _specials(self) -> tuple[list[int], list[int]]:
        bare = self._backend.encode("a", add_special_tokens=False).ids
        full = self._backend.encode("a", add_special_tokens=True).ids
        at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return full[:at], full[at + len(bare) :]

    def _pad_id(self) -> int:
        # Attention masks hide the padding, so any id is right where none is declared.
        return self._declared(self._config(), "pad_token", "eos_token") or 0

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.files.get("tokenizer_config.json", "{}"))
        return config

    def _declared(self, config: Mapping[str, Any], *roles: str) -> int | None:
        """Id of the token that has the first of these roles that one has."""
        token = next((config[role] for role in roles if config.get(role)), "")
        return self.id_of(token["content"] if isinstance(token, Mapping) else token)


def _trimmed(text: str, encoding: tokenizers.Encoding) -> tuple[Ints, Ints, Ints]:
    """Ids, starts and ends of an encoded text, white space off the ends of each token."""
    offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    return np.array(encoding.ids, dtype=np.int32), *trim_offsets(text, *offsets.T)


def load_encoder(
    source: str | Path, tags: Sequence[str], overrides: Mapping[str, Any]
) -> PreTrainedModel:
    """A pretrained encoder with a fresh classifier over `tags`, weights in fp32.

    Args:
        source: Hub id or directory.
        tags: Output names, in order.
        overrides: Fields of the encoder's config to change, for example dropouts.

    Raises:
        EncoderError: There is no such encoder, or it cannot classify tokens.
    """
    return _loaded("AutoModelForTokenClassification", source, _labels(tags), overrides)[0]


def load_language_model(
    source: str | Path, overrides: Mapping[str, Any]
) -> tuple[PreTrainedModel, list[str]]:
    """A pretrained encoder with the head that finds masked tokens, weights in fp32.

    Args:
        source: Hub id or directory.
        overrides: Fields of the encoder's config to change.

    Returns:
        The network, and the names of the head's weights that were not there and begin anew.

    Raises:
        EncoderError: There is no such encoder, or transformers has no such head for it.
    """
    return _loaded("AutoModelForMaskedLM", source, {}, overrides)


def _loaded(
    kind: str, source: str | Path, labels: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[PreTrainedModel, list[str]]:
    """A pretrained encoder with a head, as one of transformers' auto classes loads it."""
    import torch
    import transformers
    from safetensors import SafetensorError

    folder = _local(source, ["config.json", "*.safetensors", "*.safetensors.index.json"])
    config = _config(folder, labels, overrides)
    try:
        with quiet():
            model, found = getattr(transformers, kind).from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # for a classifier over other tags
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise EncoderError(
            f"model.encoder={source} cannot be loaded ({str(error).strip()}); copy it again (a git "
            "clone without git-lfs leaves pointers in place of weights)"
        ) from error
    body = f"{model.base_model_prefix}."
    names = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    if wrong := sorted(name for name in names if name.startswith(body)):
        raise EncoderError(
            f"model.encoder={source}: {len(wrong)} weights of the encoder are missing or of "
            f"another size than its config says ({wrong[0]}, ...); take a whole checkpoint, and "
            "leave its sizes in model.config alone"
        )
    # transformers hands a pretrained model over in evaluation mode: dropout would stay off.
    return model.train(), sorted(names)


def build_encoder(
    config: Mapping[str, Any], tags: Sequence[str] | None = None, *, random: bool = True
) -> PreTrainedModel:
    """An encoder with random weights from the fields of a Hugging Face config.

    Args:
        config: The fields, `model_type` among them.
        tags: Output names; None where the fields hold them (`id2label`).
        random: False where weights will be loaded: drawing those of 149M parameters takes 10 s.

    Raises:
        EncoderError: The fields are not those of a token classifier.
    """
    fields = dict(config) | (_labels(tags) if tags is not None else {})
    return _built("AutoModelForTokenClassification", fields, random=random)


def build_language_model(config: Mapping[str, Any]) -> PreTrainedModel:
    """An encoder with the head that finds masked tokens, its weights random.

    Args:
        config: Fields of a Hugging Face config, `model_type` among them.

    Raises:
        EncoderError: The fields are not those of one that has such a head.
    """
    return _built("AutoModelForMaskedLM", dict(config), random=True)


def _built(kind: str, fields: dict[str, Any], *, random: bool) -> PreTrainedModel:
    """An encoder with a head, as one of transformers' auto classes makes it."""
    import transformers
    from transformers.initialization import no_init_weights

    model_type = fields.get("model_type")
    for key in ("architectures", "dtype", "torch_dtype"):
        fields.pop(key, None)
    if "id2label" in fields:
        fields["id2label"] = {int(i): name for i, name in fields["id2label"].items()}
    try:
        with quiet(), nullcontext() if random else no_init_weights():
            made = transformers.AutoConfig.for_model(fields.pop("model_type"), **fields)
            _check_attention(made)
            return getattr(transformers, kind).from_config(made, trust_remote_code=False)  # type: ignore[no-any-return]
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderError(
            f"model.config (model_type={model_type}) makes no encoder: {str(error)[:200]}"
        ) from error


def scratch_config(architecture: Mapping[str, Any], subwords: Subwords) -> dict[str, Any]:
    """Fields of a new encoder's config, completed with the ids of its own vocabulary."""
    start, stop = subwords.prefix[0], subwords.suffix[0]
    return {
        **architecture,
        "bos_token_id": start,
        "cls_token_id": start,
        "eos_token_id": stop,
        "sep_token_id": stop,
        "pad_token_id": subwords.pad,
        "vocab_size": len(subwords),
    }


def positions(config: PretrainedConfig | SimpleNamespace) -> int:
    """Longest sequence that an encoder can read, special tokens included."""
    limit = int(getattr(config, "max_position_embeddings", None) or 0)
    if limit <= 0:  # Relative positions, as in T5 and XLNet.
        return 1 << 30
    return limit - first_position(config)


def check_window(size: int, config: PretrainedConfig | SimpleNamespace) -> None:
    """Raise `ConfigError` where windows of so many subwords are longer than an encoder can read."""
    if size > (limit := positions(config)):
        raise ConfigError(
            f"window.size={size} is longer than the {limit} positions of this encoder; "
            f"say window.size={limit} or less"
        )


def first_position(config: PretrainedConfig | SimpleNamespace) -> int:
    """The number of a sequence's first position."""
    return int(config.pad_token_id) + 1 if config.model_type in SHIFTED else 0


def _labels(tags: Sequence[str]) -> dict[str, Any]:
    return {
        "num_labels": len(tags),
        "id2label": dict(enumerate(tags)),
        "label2id": {tag: number for number, tag in enumerate(tags)},
    }


def _config(
    folder: Path, labels: Mapping[str, Any], overrides: Mapping[str, Any]
) -> PretrainedConfig:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_attention(config)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"model.encoder={folder}: no usable config.json ({_reason(error)})"
        ) from error
    unknown = [key for key in overrides if not hasattr(config, key)]
    if unknown:
        raise EncoderError(
            f"model.config: a {config.model_type} config has no {', '.join(unknown)}; "
            f"its dropouts are {', '.join(k for k in vars(config) if 'dropout' in k)}"
        )
    for key, value in {**labels, **overrides}.items():
        setattr(config, key, value)
    return config  # type: ignore[no-any-return]


def _reason(error: Exception) -> str:
    """What transformers says, without its advice to run a stranger's code."""
    if "trust_remote_code" in str(error):
        return "it needs code of its own, which is never run; take one that transformers knows"
    return str(error).partition("\n")[0]


def _check_attention(config: PretrainedConfig) -> None:
    """Raise `ValueError` where a config wants a kernel of the hub: transformers would load it."""
    for part in (config, *(getattr(config, name) for name in config.sub_configs)):
        if "/" in str(getattr(part, "_attn_implementation", "")):
            raise ValueError(f"attn_implementation={part._attn_implementation} is code of the hub")


def check_directory(source: str | Path) -> None:
    """Raise `EncoderError` where the name of an encoder is a path, and there is no directory."""
    folder = Path(source)
    is_path = folder.is_absolute() or str(source).count("/") > 1 or str(source).startswith(".")
    if is_path and not folder.is_dir():
        raise EncoderError(
            f"model.encoder={source}: there is no such directory; give one with config.json, "
            "model.safetensors and tokenizer.json in it, or the id of an encoder on the hub"
        )


def _local(source: str | Path, patterns: list[str]) -> Path:
    """The directory of an encoder; from the hub's cache or the hub where it is no local one."""
    folder = Path(source)
    if folder.is_dir():
        return folder
    check_directory(source)
    advice = (
        f"model.encoder={source} is neither a directory here nor reachable on the Hugging Face "
        f"hub. With network elsewhere: `hf download {source} --local-dir DIR`, copy DIR here "
        "and say model.encoder=DIR; or train without a pretrained encoder: model=tiny|small"
    )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(source), allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise EncoderError(f"{advice} ({type(error).__name__})") from error


def _as_set_up(folder: Path) -> dict[str, str]:
    """Tokenizer files that do by themselves what transformers makes of those in the folder."""
    import tempfile

    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        if not (folder / "tokenizer.json").is_file():
            raise EncoderError(f"model.encoder={folder} {NOT_FAST}") from error
        raise EncoderError(
            f"model.encoder={folder}: no usable tokenizer ({_reason(error)})"
        ) from error
    with tempfile.TemporaryDirectory() as made:
        tokenizer.save_pretrained(made)
        return {path.name: path.read_text("utf-8") for path in Path(made).glob("*.json")}


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, and no report of the fresh classifier's missing weights, within the block."""
    from transformers.utils import logging as talk

    level = talk.get_verbosity()
    talk.set_verbosity_error()  # type: ignore[no-untyped-call]
    talk.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        talk.set_verbosity(level)
        talk.enable_progress_bar()  # type: ignore[no-untyped-call]
