"""The command `multiclin`, and all that train.py, pretrain.py, predict.py and evaluate.py do.

A mistake of the user's or a fault of the machine is one message on standard error and exit status
2; a bug is a traceback and 1; Ctrl-C is 130; 0 means that the work was done. Everything heavy is
imported by the command that needs it, so that `multiclin --help` answers at once, and a mistyped
override does without waiting for torch.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from multiclin import __version__, faults
from multiclin.analysis.commands import add_commands
from multiclin.bench.commands import add_bench
from multiclin.checking.commands import add_check, add_stats
from multiclin.corpus.consolidation_command import add_command as add_consolidate
from multiclin.corpus.convert_command import add_command as add_convert
from multiclin.corpus.download import add_command as add_download
from multiclin.ensembling.commands import add_ensemble
from multiclin.errors import ConfigError, CorpusError, MulticlinError
from multiclin.tables import visible

if TYPE_CHECKING:
    from omegaconf import DictConfig

USER_MISTAKE = 2
INTERRUPTED = 130
READER_GONE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command and what follows it, `["train", "entity=disease"]`; by default
            those of this process.

    Returns:
        The exit status: 0, or what a command says of what it looked at (`corpus check`: 1, not
        clean); 2 for a mistake of the user's, 130 after Ctrl-C, 141 where the reader of the output
        has gone.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    status = 0
    try:
        _prepare_console()
        with faults.explained("standard output"):
            status = _run(words)
            sys.stdout.flush()  # Here, where a reader that has gone can be met.
    except BrokenPipeError:
        _drop_output()  # `| head` has read enough.
        return READER_GONE
    except MulticlinError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        print(f"error: {visible(str(error))}", file=sys.stderr)
        _drop_output()
        return USER_MISTAKE
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as stop:
        # Lightning saves and shuts down on Ctrl-C, then exits with 1 from within its handler.
        if isinstance(stop.__context__, KeyboardInterrupt):
            return _interrupted()
        raise
    return status


def _run(words: Sequence[str]) -> int:
    if words and words[0] in TASKS:
        from multiclin.config import run

        run(TASKS[words[0]], words[0], words[1:])
        return 0
    options = _parser().parse_args(words)
    return options.run(options) or 0


def _prepare_console() -> None:
    """Let the console show what it can, and refuse to take file names for other ones.

    Raises:
        ConfigError: File names are not read as UTF-8. Those with accents would get other letters,
            and with them the ids of documents.
    """
    logging.raiseExceptions = False  # A log file that is full: the console has all of it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if (encoding := sys.getfilesystemencoding()) != "utf-8":
        raise ConfigError(
            f"file names are read as {encoding} here, which spoils those with accents: say "
            "PYTHONUTF8=1 before the command, or use a UTF-8 locale such as LC_ALL=C.UTF-8"
        )


def _drop_output() -> None:
    """Forget what waits for standard output where that fails: Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return INTERRUPTED


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without garbage collection, which would look through all of torch again and again.

    A sixth of the time that the imports take. They stay: later collections leave them out.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _train(config: DictConfig) -> object:
    from multiclin.opening import check_training

    check_training(config)
    with _uncollected():
        from multiclin.train import train

    return train(config)


def _pretrain(config: DictConfig) -> None:
    from multiclin.opening import check_pretraining

    check_pretraining(config)
    with _uncollected():
        from multiclin.pretrain import pretrain

    pretrain(config)


def _predict(config: DictConfig) -> None:
    from multiclin.opening import check_prediction

    check_prediction(config)
    with _uncollected():
        from multiclin.predict import predict

    predict(config)


def _evaluate(config: DictConfig) -> None:
    from multiclin.evaluate import evaluate, publish
    from multiclin.schema import labels_by_entity

    # An entity is a group here too: Hydra takes `entity=...` for an option of conf/entity/.
    labels = list(labels_by_entity(config.entity.labels).values()) if config.entity else []
    label = labels[0] if len(labels) == 1 else None
    native = Path(config.native) if config.native else None
    report = evaluate(Path(config.gold), Path(config.pred), label, native)
    publish(report, Path(config.output) if config.output else None)


TASKS: dict[str, Callable[[DictConfig], object]] = {
    "train": _train,
    "pretrain": _pretrain,
    "predict": _predict,
    "evaluate": _evaluate,
}
"""The commands that Hydra configures, each from the config in `conf/` of the same name."""


def _corpus_sample(options: argparse.Namespace) -> None:
    from multiclin.corpus.sample import generate

    given = {
        key: value
        for key in ("documents", "seed", "languages")
        if (value := getattr(options, key)) is not None
    }
    written = generate(options.folder, **given)
    print(f"{len(written)} sets, {sum(one.documents for one in written):,} texts: {options.folder}")


def _corpus_find(options: argparse.Namespace) -> None:
    from multiclin.corpus import ReadReport
    from multiclin.corpus.release import CorpusSet, find_sets, overview, read_sets

    reports: dict[CorpusSet, ReadReport] = {}
    try:
        for _ in read_sets(find_sets(options.folder), reports=reports):
            pass
    except CorpusError:
        if reports:
            print(overview(reports))
        raise
    print(overview(reports))


def _ray_predict(options: argparse.Namespace) -> None:
    from multiclin.ray_data import Job, predict

    given = vars(options)
    job = Job(**{key: given[key] for key in Job.__dataclass_fields__})
    print(f"{predict(job):,} documents: {job.output}")


def _tune(options: argparse.Namespace) -> None:
    from multiclin.tune import tune_model

    print(tune_model(options.model, options.gold, options.output, options.beta))
    print(f"the model with these biases: {options.output}")


def _add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    tune = commands.add_parser("tune", help="trade precision for recall: biases for a model")
    tune.add_argument("model", type=Path, metavar="MODEL", help="a run, a bundle or a checkpoint")
    says = "documents with mentions, JSONL or brat; default: the validation of the run"
    tune.add_argument("--gold", type=Path, metavar="PATH", help=says)
    says = "what is best is the F-measure where recall counts B times as much (default: 1)"
    tune.add_argument("--beta", type=float, default=1.0, metavar="B", help=says)
    tune.add_argument("--output", type=Path, required=True, metavar="DIR", help="the new bundle")
    tune.set_defaults(run=_tune)


def _add_ray_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ray = commands.add_parser("ray-predict", help="find mentions on a Ray cluster, Parquet out")
    ray.add_argument("ckpt", metavar="MODEL", help="as in predict ckpt=; an ensemble: '[a,b]'")
    ray.add_argument("source", type=Path, metavar="INPUT", help="Parquet with id and text; or .txt")
    ray.add_argument("output", type=Path, metavar="OUTPUT", help="a folder of Parquet files")
    ray.add_argument("--workers", type=int, metavar="N", help="models at once; all cores or GPUs")
    ray.add_argument("--gpus", type=float, default=0, metavar="N", help="of a worker: 1, or 0.5")
    ray.add_argument("--bf16", action="store_true", help="faster; scores differ a little")
    ray.add_argument("--batch-size", type=int, default=16, metavar="N", help="windows per batch")
    ray.add_argument("--overwrite", action="store_true", help="replace what stands in OUTPUT")
    ray.set_defaults(run=_ray_predict)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="multiclin",
        description="Multilingual clinical named entity recognition.",
        epilog="HYDRA_FULL_ERROR=1 before a command adds the traceback to an error message.",
    )
    parser.add_argument("--version", action="version", version=f"multiclin {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # These four are run by Hydra, which has its own flags and help; here they are only listed.
    commands.add_parser("train", help="train a model: train entity=disease data.root=DIR")
    commands.add_parser("pretrain", help="learn from texts alone: pretrain input=DIR model=small")
    commands.add_parser("predict", help="find mentions: predict ckpt=PATH input=DIR output=DIR")
    commands.add_parser("evaluate", help="the official score: evaluate gold=PATH pred=PATH")
    _add_tune(commands)
    add_ensemble(commands)
    _add_ray_predict(commands)
    add_commands(commands)
    add_bench(commands)
    corpus = commands.add_parser("corpus", help="make and look at corpora")
    tools = corpus.add_subparsers(title="tools", metavar="TOOL", required=True)

    sample = tools.add_parser("sample", help="generate the seven-language sample corpus")
    sample.add_argument("folder", type=Path, metavar="DIR", help="where to write it")
    sample.add_argument("--documents", type=int, metavar="N", help="cases per language")
    sample.add_argument("--seed", type=int, metavar="N", help="the same seed, the same bytes")
    sample.add_argument("--languages", type=_comma_separated, metavar="es,en", help="all if unset")
    sample.set_defaults(run=_corpus_sample)

    add_download(tools)
    add_check(tools)
    add_convert(tools)
    add_consolidate(tools)
    add_stats(tools)
    find = tools.add_parser("find", help="list the sets below a folder, with their sizes")
    find.add_argument("folder", type=Path, metavar="DIR", help="any release of MultiClinNER")
    find.set_defaults(run=_corpus_find)
    return parser


def _comma_separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    sys.exit(main())
