"""Where our own time goes, stage by stage, and how many operations it is worth.

Prediction is taken apart at the joints of its parts (`Subwords`, `WindowStream`, `Tagger`,
`Assembler`, `Decoder`, `snap`, `Spool`): each stage takes all documents before the next one begins,
so that a clock is read a few times only. Training is that of `training`, whose steps Lightning
announces.

Operations are those that the network does, counted once while it does them: blocks of local
attention are counted whole, padding is too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from multiclin.batch import Batch
from multiclin.bench.contestants import Run
from multiclin.bench.measures import Laps, Pace
from multiclin.bench.prediction import batches_of, recognizer_of, tokenized
from multiclin.bench.race import Figures, Task
from multiclin.bench.training import Stages, Steps, fit
from multiclin.decoding import Assembler
from multiclin.document import Document
from multiclin.output import Output
from multiclin.recognition import Recognizer
from multiclin.spool import Spool
from multiclin.tagging import Floats
from multiclin.windows import Tokenized
from multiclin.words import snap

COUNTED_STEPS = 4
"""Optimizer steps whose operations are counted."""


def prediction_stages(task: Task) -> Run:
    """Documents in memory to the written TSV, by stage, and all but the writing at one go."""
    recognizer, documents = recognizer_of(task), task.documents()
    batches = batches_of(recognizer.model, tokenized(recognizer.model, documents), recognizer.size)
    with counting() as counter:
        for one in batches:
            recognizer.emissions(one)
    operations = counter.get_total_flops()

    def run() -> Figures:
        laps = Laps()
        found = by_stage(recognizer, documents, laps)
        with laps.stage("write"):
            write(found, Path(task.folder) / f"{task.title}.out")
        stages = dict(laps.seconds)
        with laps.stage("whole"):
            list(recognizer.pipe(documents))
        return {"stages": stages, "whole": laps.seconds["whole"], "flops": operations}

    return run


def by_stage(recognizer: Recognizer, documents: Sequence[Document], laps: Laps) -> list[Document]:
    """The documents with their mentions."""
    model = recognizer.model
    with laps.stage("tokenize"):
        subwords = tokenized(model, documents)
    with laps.stage("windows"):
        batches = batches_of(model, subwords, recognizer.size)
    with laps.stage("forward"):
        emissions = [recognizer.emissions(one) for one in batches]
    merged = _Merged()
    assembler = replace(model.assembler(), decoder=merged)  # type: ignore[arg-type]
    with laps.stage("merge"):
        merge(assembler, batches, emissions)
    decoder = model.decoder()
    unsnapped = replace(decoder, snapping="none")
    with laps.stage("decode"):
        found = [one for part in merged.parts for one in unsnapped.decode(*part)]
    with laps.stage("snap"):
        return [
            one.with_spans(tuple(snap(one.text, one.spans, decoder.snapping, decoder.inner)))
            for one in found
        ]


@dataclass
class _Merged:
    """Stands in the place of a decoder, and keeps what it would get."""

    parts: list[tuple[Sequence[Tokenized], Sequence[Floats]]] = field(default_factory=list)

    def decode(
        self, documents: Sequence[Tokenized], emissions: Sequence[Floats], _: None
    ) -> list[Document]:
        self.parts.append((documents, emissions))
        return [one.document for one in documents]


def merge(assembler: Assembler, batches: Sequence[Batch], emissions: Sequence[Floats]) -> None:
    """Put the windows of the documents together."""
    for batch, scores in zip(batches, emissions, strict=True):
        assembler.add(batch.placed, batch.arrivals, scores)


def write(documents: Sequence[Document], folder: Path) -> None:
    """Write predictions as predict.py does."""
    spool = Spool(folder)
    spool.open()
    for one in documents:
        spool.add(one)
    spool.finish()
    spool.close()
    spool.end()
    Output(folder, overwrite=True).publish(spool)


def training_stages(task: Task) -> Run:
    """Optimizer steps by stage."""
    pace = Pace(COUNTED_STEPS)
    with counting() as counter:
        fit(task, Steps(pace))
    each = counter.get_total_flops() / int(pace.seen)

    def run() -> Figures:
        pace = Pace(task.steps)
        stages = Stages(pace)
        fit(task, stages)
        return {**pace.answer(), "stages": stages.seconds, "flops": each * int(pace.tokens)}

    return run


def counting() -> AbstractContextManager[FlopCounterMode]:
    """Counts floating-point operations within the block, those of attention on a CPU too."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    def backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]

    mapping = {
        attention: forward,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    return FlopCounterMode(display=False, custom_mapping=mapping)
