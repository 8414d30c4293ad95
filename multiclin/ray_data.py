"""Prediction on a Ray cluster: a map over a dataset of texts, Parquet in and out.

    multiclin ray-predict MODEL texts.parquet predictions/

Every worker holds a model (`Recognizer`) and takes blocks of documents as they come; Ray reads,
schedules, repeats what a lost machine was at, and writes. A row out for each row in: `id`,
`mentions` (a list of start, end, label, text and score) and `problem`, null for all that could be
read. For those who have a cluster, or texts in Parquet; on machines with one file system
`predict.py shard=0/8` needs no Ray and writes the official table. (https://docs.ray.io/en/latest/data)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from multiclin.corpus.texts import LONGEST, Texts, find_texts
from multiclin.document import Document
from multiclin.ensemble import load_members
from multiclin.errors import ConfigError, CorpusError, MulticlinError, OutputError, Problem
from multiclin.recognition import Recognizer

BLOCK = 512
"""Documents that a worker takes at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of a cluster.

    Attributes:
        ckpt: A model that every machine finds under this path; `[a,b]`: an ensemble.
        source: A Parquet file, or a folder of them, with columns `id` and `text`; or a folder of
            `.txt`, which every machine finds under this path.
        output: The folder of the Parquet files to be written.
        workers: How many models at once; None for one per core, or per GPU.
        gpus: GPUs of a worker; a fraction shares one.
        bf16: Whether they compute in bf16.
        batch_size: Windows per batch.
        overwrite: Whether what stands in `output` may go.
    """

    ckpt: str | Path
    source: Path
    output: Path
    workers: int | None = None
    gpus: float = 0
    bf16: bool = False
    batch_size: int = 16
    overwrite: bool = False


class Recognition:
    """What a worker does with a block; its model is loaded once.

    Args:
        job: What is asked.
    """

    def __init__(self, job: Job) -> None:
        self.recognizer = Recognizer(
            load_members(job.ckpt),
            device="cuda" if job.gpus else "cpu",
            dtype=torch.bfloat16 if job.bf16 else torch.float32,
            size=job.batch_size,
        )

    def __call__(self, block: Any) -> Any:  # noqa: ANN401 - a pyarrow.Table, with or without texts
        """The table of the predictions of a table of texts."""
        pyarrow = import_module("pyarrow")
        return pyarrow.Table.from_pylist(list(self.rows(block.to_pylist())), _schema(pyarrow))

    def rows(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """A row for each row, in their order."""
        found = [_document(row) for row in rows]
        good = (one for one in found if isinstance(one, Document))
        predicted = self.recognizer.pipe(good)
        for row in found:
            if isinstance(row, Problem):
                yield {"id": str(row.path), "mentions": None, "problem": row.message}
            else:
                yield _row(next(predicted))


def _document(row: dict[str, Any]) -> Document | Problem:
    """A text of a table, or of the file that it names."""
    id = str(row["id"])
    if "path" in row:
        found = next(Texts(Path(row["path"])).read())
        return Document(id, found.text) if isinstance(found, Document) else found
    text = row["text"]
    if not isinstance(text, str):
        return Problem(Path(id), 0, "it has no text")
    if len(text) > LONGEST:
        return Problem(Path(id), 0, f"no document has over {LONGEST:,} characters; cut it in parts")
    return Document(id, text)


def _row(document: Document) -> dict[str, Any]:
    mentions = [
        {
            "start": span.start,
            "end": span.end,
            "label": span.label,
            "text": document.text[span.start : span.end],
            "score": span.score,
        }
        for span in document.spans
    ]
    return {"id": document.id, "mentions": mentions, "problem": None}


def _schema(pyarrow: Any) -> Any:  # noqa: ANN401 - pyarrow is an extra
    number, text = pyarrow.int64(), pyarrow.string()
    kinds = {"start": number, "end": number, "label": text, "text": text}
    mention = pyarrow.struct({**kinds, "score": pyarrow.float64()}.items())
    return pyarrow.schema({"id": text, "mentions": pyarrow.list_(mention), "problem": text}.items())


def predict(job: Job) -> int:
    """Predict on the cluster of RAY_ADDRESS, on one that runs here, or on this machine.

    Returns:
        How many documents were predicted.

    Raises:
        ConfigError: Ray is not installed.
        CheckpointError: The model cannot be loaded.
        CorpusError: There are no texts; or, after all others have been written, some could not be
            read.
        OutputError: Something stands in the output.
    """
    ray = _ray()
    if job.output.exists() and any(job.output.iterdir()) and not job.overwrite:
        raise OutputError(f"{job.output} holds files; choose another output or say --overwrite")
    load_members(job.ckpt)  # A mistake is told here in one line, and by a worker in a hundred.
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    there = ray.cluster_resources().get("GPU" if job.gpus else "CPU", 1)
    predicted = _texts(ray, job.source).map_batches(
        Recognition,
        fn_constructor_args=[job],
        batch_format="pyarrow",
        batch_size=BLOCK,
        num_cpus=1,
        num_gpus=job.gpus or None,
        concurrency=(1, job.workers or max(1, int(there / (job.gpus or 1)))),
    )
    mode = import_module("ray.data").SaveMode.OVERWRITE
    try:
        predicted.write_parquet(str(job.output.absolute()), mode=mode)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MulticlinError):
            raise error.cause from error
        raise
    return _counted(job.output)


def _texts(ray: Any, source: Path) -> Any:  # noqa: ANN401
    """A dataset with columns `id` and `text`, or `id` and `path`."""
    if source.suffix != ".parquet" and not any(source.glob("*.parquet")):
        files = find_texts(source.absolute()).items()
        return ray.data.from_items([{"id": id, "path": str(path)} for id, path in files])
    dataset = ray.data.read_parquet(str(source.absolute()))
    missing = {"id", "text"} - set(dataset.schema().names)
    if missing:
        raise CorpusError(
            [Problem(source, 0, f"no column {' and '.join(sorted(missing))}; id and text are read")]
        )
    return dataset.select_columns(["id", "text"])


def _counted(output: Path) -> int:
    """Documents that have been written.

    Raises:
        CorpusError: Some of them could not be read.
    """
    arrow = import_module("pyarrow.dataset")
    written = arrow.dataset(output, format="parquet")
    unread = written.to_table(["id", "problem"], filter=arrow.field("problem").is_valid())
    if unread.num_rows:
        rows = unread.to_pylist()
        raise CorpusError([Problem(Path(row["id"]), 0, row["problem"]) for row in rows])
    count: int = written.count_rows()
    return count


def _ray() -> Any:  # noqa: ANN401 - an extra
    try:
        ray = import_module("ray")
        import_module("ray.data")
    except ImportError as error:
        raise ConfigError(
            "ray-predict needs Ray, which is not installed: pip install 'multiclin[ray]'; without "
            "it, predict.py shard=0/8 shares an input out"
        ) from error
    return ray
