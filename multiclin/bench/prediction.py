"""Our prediction: documents in memory to mentions, and all that `predict.py` does, pages left out.

`agreement` holds our mentions against those of the same windows and decoding with transformers' own
network, padded.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForTokenClassification

from multiclin.batch import Batch, WindowStream
from multiclin.bench.contestants import Run
from multiclin.bench.measures import device
from multiclin.bench.race import Figures, Task
from multiclin.bundle import Model, load_model
from multiclin.document import Document
from multiclin.recognition import CHUNK, Recognizer
from multiclin.windows import Tokenized


def recognizer_of(task: Task) -> Recognizer:
    """Ours, loaded."""
    dtype = torch.bfloat16 if task.bf16 else torch.float32
    return Recognizer(load_model(task.model), device=device(), dtype=dtype)


def multiclin_predicts(task: Task) -> Run:
    """Ours: documents to mentions."""
    recognizer, documents = recognizer_of(task), task.documents()
    return lambda: {"spans": sum(len(one.spans) for one in recognizer.pipe(documents))}


def multiclin_writes(task: Task) -> Run:
    """Ours: a folder of weights and a file of texts to `predictions.tsv`, as predict.py does it."""
    from multiclin.config import run as run_task  # What mentions alone do not need.
    from multiclin.predict import predict

    output = Path(task.folder) / f"{task.title}.out"
    words = [
        f"ckpt={quoted(task.model)}",
        f"input={quoted(task.corpus)}",
        f"output={quoted(output)}",
        f"hydra.run.dir={quoted(output / 'log')}",
        f"precision={'bf16-true' if task.bf16 else '32-true'}",
        "overwrite=true",
        "report=null",
    ]

    def run() -> Figures:
        run_task(predict, "predict", words)
        with (output / "predictions.tsv").open(encoding="utf-8", newline="") as stream:
            return {"spans": sum(1 for _ in csv.DictReader(stream, delimiter="\t"))}

    return run


def agreement(task: Task) -> Run:
    """How many spans of ours, in fp32, the padded network of transformers finds as well."""
    documents = task.documents()
    recognizer = recognizer_of(task)
    network = AutoModelForTokenClassification.from_pretrained(task.model, dtype=torch.float32)
    network.to(device()).eval()

    def run() -> Figures:
        ours = mentions(recognizer.pipe(documents))
        theirs = mentions(padded(recognizer.model, network, documents))
        return {"ours": len(ours), "padded": len(theirs), "both": len(ours & theirs)}

    return run


def padded(
    model: Model, network: torch.nn.Module, documents: Sequence[Document]
) -> Iterator[Document]:
    """Our windows and our decoding, but the network as it comes, with a rectangle and its mask."""
    assembler = model.assembler()
    for batch in batches_of(model, tokenized(model, documents), 8):
        with torch.inference_mode():
            ids, mask = batch.ids.to(device()), batch.mask.to(device())
            logits = network(input_ids=ids, attention_mask=mask).logits
        found = assembler.add(batch.placed, batch.arrivals, logits.cpu().numpy())
        yield from (one.predicted for one in found)


def tokenized(model: Model, documents: Sequence[Document]) -> list[Tokenized]:
    """The documents in subwords, in chunks as prediction takes them."""
    chunks = (documents[at : at + CHUNK] for at in range(0, len(documents), CHUNK))
    return [one for chunk in chunks for one in model.subwords.tokenize(chunk)]


def batches_of(model: Model, documents: Sequence[Tokenized], size: int) -> list[Batch]:
    """The batches of a prediction."""
    stream = WindowStream(lambda *_: documents, model.collate, model.windowing, size=size)
    return list(stream)


def mentions(documents: Iterator[Document]) -> set[tuple[str, str, int, int]]:
    """Document, label and offsets of every mention."""
    return {(one.id, s.label, s.start, s.end) for one in documents for s in one.spans}


def quoted(value: object) -> str:
    """A value of an override that Hydra takes as it stands."""
    escaped = str(value).replace("'", r"\'")
    return f"'{escaped}'"
