"""The peers: the token-classification pipeline of transformers, and its Trainer.

Set up as their documentation says. The pipeline has a stride, so that no text is cut off, and
windows in batches. The Trainer has its defaults, over the windows and tags that ours trains on
(`training.windows`). Nothing of ours is loaded but the reader of the texts: memory is theirs.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    pipeline,
)

from multiclin.bench.contestants import Run
from multiclin.bench.measures import Pace, device
from multiclin.bench.race import Figures, Task


def pipeline_predicts(task: Task) -> Run:
    """The pipeline: texts to mentions."""
    pipe, documents = load_pipeline(task), task.documents()
    texts = [one.text for one in documents]
    return lambda: {"spans": sum(map(len, pipe(texts)))}


def pipeline_writes(task: Task) -> Run:
    """The pipeline: a folder of weights and a file of texts to a TSV of the official columns."""
    output = Path(task.folder) / f"{task.title}.tsv"

    def run() -> Figures:
        pipe, documents = load_pipeline(task), task.documents()
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


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space at its edges: the pipeline keeps a subword's leading space."""
    inside = text[start:end]
    return end - len(inside.lstrip()), start + len(inside.rstrip())


def trainer_trains(task: Task) -> Run:
    """The Trainer of transformers."""
    folder = Path(task.corpus)
    network = AutoModelForTokenClassification.from_pretrained(folder / "model", dtype=torch.float32)
    collate = DataCollatorForTokenClassification(AutoTokenizer.from_pretrained(folder / "model"))
    rows = json.loads((folder / "windows.json").read_text("utf-8"))
    settings = json.loads((folder / "settings.json").read_text("utf-8"))

    def run() -> Figures:
        pace = Pace(task.steps)
        arguments = TrainingArguments(
            output_dir=str(Path(task.folder) / task.title),
            per_device_train_batch_size=task.batch,
            max_steps=pace.all_steps,
            bf16=task.bf16,
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            **settings,
        )
        counted = network.register_forward_pre_hook(
            lambda _, args, fields: pace.see(fields["attention_mask"]), with_kwargs=True
        )
        Trainer(
            model=network,
            args=arguments,
            train_dataset=rows,
            data_collator=collate,
            callbacks=[_Told(pace)],
        ).train()
        counted.remove()
        return pace.answer()

    return run


class _Told(TrainerCallback):
    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
        self.pace.step_done(state.global_step)
