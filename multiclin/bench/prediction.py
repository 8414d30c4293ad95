"""Prediction: ours against the token-classification pipeline of transformers.

The pipeline is set up as its documentation says: a stride, so that no text is cut off, and windows
in batches. Twice: from documents in memory to mentions, and from a file of texts and a folder of
weights to the TSV, where ours is all that `predict.py` does, pages left out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from multiclin.batch import Batch, WindowStream
from multiclin.bench.contestants import Run
from multiclin.bench.measures import device
from multiclin.bench.race import Figures, Task
from multiclin.bundle import Model, load_model
from multiclin.config import run as run_task
from multiclin.corpus.jsonl import read_documents
from multiclin.document import Document
from multiclin.predict import predict
from multiclin.recognition import CHUNK, Recognizer
from multiclin.windows import Tokenized


def documents_of(task: Task) -> list[Document]:
    """The texts of a bench."""
    return list(read_documents(Path(task.corpus)))


def recognizer_of(task: Task) -> Recognizer:
    """Ours, loaded."""
    dtype = torch.bfloat16 if task.bf16 else torch.float32
    return Recognizer(load_model(task.model), device=device(), dtype=dtype)


def multiclin_predicts(task: Task) -> Run:
    """Ours: documents to mentions."""
    recognizer, documents = recognizer_of(task), documents_of(task)
    return lambda: {"spans": sum(len(one.spans) for one in recognizer.pipe(documents))}


def pipeline_predicts(task: Task) -> Run:
    """The pipeline: texts to mentions."""
    pipe, documents = load_pipeline(task), documents_of(task)
    texts = [one.text for one in documents]
    return lambda: {"spans": sum(map(len, pipe(texts)))}


def multiclin_writes(task: Task) -> Run:
    """Ours: a folder of weights and a file of texts to `predictions.tsv`, as predict.py does it."""
    output = Path(task.folder) / f"{task.title}.out"
    words = [
        f"ckpt={quoted(task.model)}",
        f"input={quoted(task.corpus)}",
        f"output={quoted(output)}",
        f"hydra.run.dir={quoted(output / 'log')}",
        f"precision={'bf16-mixed' if task.bf16 else '32-true'}",
        "overwrite=true",
        "report=null",
    ]

    def run() -> Figures:
        run_task(predict, "predict", words)
        with (output / "predictions.tsv").open(encoding="utf-8", newline="") as stream:
            return {"spans": sum(1 for _ in csv.DictReader(stream, delimiter="\t"))}

    return run


def pipeline_writes(task: Task) -> Run:
    """The pipeline: a folder of weights and a file of texts to a TSV of the official columns."""
    output = Path(task.folder) / f"{task.title}.tsv"

    def run() -> Figures:
        pipe, documents = load_pipeline(task), documents_of(task)
        found = pipe([one.text for one in documents])
        with output.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, delimiter="\t")
            rows.writerow(("filename", "label", "start_span", "end_span", "text"))
            for one, mentions in zip(documents, found, strict=True):
                for span in mentions:
                    start, end = trimmed(one.text, span["start"], span["end"])
                    row = (one.id, span["entity_group"], start, end, one.text[start:end])
                    rows.writerow(row)
        return {"spans": sum(map(len, found))}

    return run


def load_pipeline(task: Task) -> Any:  # noqa: ANN401 - a pipeline of transformers
    """The token-classification pipeline with its defaults, but stride and batches."""
    facts = json.loads((Path(task.model) / "multiclin.json").read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(task.model)
    tokenizer.model_max_length = facts["recipe"]["window"]
    dtype = torch.bfloat16 if task.bf16 else torch.float32
    network = AutoModelForTokenClassification.from_pretrained(task.model, dtype=dtype).eval()
    return pipeline(
        "token-classification",
        model=network,
        tokenizer=tokenizer,
        device=device(),
        stride=facts["recipe"]["overlap"],
        aggregation_strategy="simple",
        batch_size=task.batch,
    )


def agreement(task: Task) -> Run:
    """How many spans of ours, in fp32, the padded network of transformers finds as well."""
    documents = documents_of(task)
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
        yield from (document for _, document in found)


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


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space at its edges: the pipeline keeps a subword's leading space."""
    inside = text[start:end]
    return end - len(inside.lstrip()), start + len(inside.rstrip())


def quoted(value: object) -> str:
    """A value of an override that Hydra takes as it stands."""
    escaped = str(value).replace("'", r"\'")
    return f"'{escaped}'"
