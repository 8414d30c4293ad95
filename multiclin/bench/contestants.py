"""Who is timed: ours, and what people use today, each in a process of its own.

A contestant loads everything, says `ready`, and then runs once for each line that it reads: only
the run is timed. Peers are set up as their documentation says: the token-classification pipeline of
transformers with a stride, and its Trainer with windows made by the tokenizer's overflow.

    python -m multiclin.bench.contestants '{"name": "pipeline", "model": DIR, "texts": DIR, ...}'
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from multiclin.document import Document

Run = Callable[[], dict[str, Any]]
"""One timed run; gives what it did: tokens, documents, spans."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a contestant is told.

    Attributes:
        name: Who it is, a key of `CONTESTANTS`.
        model: A bundle, which is a model in Hugging Face layout too.
        texts: A folder of texts for prediction, of an annotated set for training.
        bf16: Whether it computes in bf16.
        threads: Cores that it may use.
        batch: Windows per batch.
        limit: Documents of the folder that are taken; 0 for all.
        steps: Optimizer steps of a training run.
    """

    name: str
    model: str
    texts: str
    bf16: bool = False
    threads: int = 2
    batch: int = 8
    limit: int = 0
    steps: int = 20

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return torch.bfloat16 if self.bf16 else torch.float32

    def documents(self) -> list[Document]:
        """The documents, with gold where there is some."""
        from multiclin.corpus.texts import Texts

        found = Texts(Path(self.texts)).read()
        documents = [one for one in found if isinstance(one, Document)]
        return documents[: self.limit or None]


def multiclin_predicts(task: Task) -> Run:
    """Ours: documents to mentions."""
    from multiclin.bundle import load_model
    from multiclin.recognition import Recognizer

    recognizer = Recognizer(load_model(task.model), dtype=task.dtype, size=2 * task.batch)
    documents = task.documents()

    def run() -> dict[str, Any]:
        found = sum(len(one.spans) for one in recognizer.pipe(documents))
        return {"documents": len(documents), "spans": found}

    return run


def pipeline_predicts(task: Task) -> Run:
    """The token-classification pipeline with its defaults but the stride."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    recipe = json.loads((Path(task.model) / "multiclin.json").read_text("utf-8"))["recipe"]
    tokenizer = AutoTokenizer.from_pretrained(task.model)
    tokenizer.model_max_length = recipe["window"]
    network = AutoModelForTokenClassification.from_pretrained(task.model, dtype=task.dtype).eval()
    pipe = pipeline(
        "token-classification",
        model=network,
        tokenizer=tokenizer,
        stride=recipe["overlap"],
        aggregation_strategy="simple",
        batch_size=task.batch,
    )
    texts = [one.text for one in task.documents()]

    def run() -> dict[str, Any]:
        found: list[Any] = pipe(texts)
        return {"documents": len(texts), "spans": sum(map(len, found))}

    return run


CONTESTANTS: dict[str, Callable[[Task], Run]] = {
    "multiclin": multiclin_predicts,
    "pipeline": pipeline_predicts,
}


def main(words: list[str]) -> None:
    """Get ready, then run once per line read; each answer is one line of JSON."""
    task = Task(**json.loads(words[0]))
    torch.set_num_threads(task.threads)
    run = CONTESTANTS[task.name](task)
    print("ready", flush=True)
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        did = run()
        seconds, worked = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {"seconds": seconds, "cpu_seconds": worked, "peak_mib": peak}
        print(json.dumps({**did, **figures}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
