"""Training and validation of a model as a LightningModule.

The network and its facts are a `bundle.Model`; this class adds the loss, the optimizer and the
scores. Validation and test send their emissions through the same `Assembler` as prediction and
score the resulting documents on characters by the official rule: the F1 that is monitored is the F1
that is submitted. seqeval's strict F1 on tags, the paper's objective, is computed beside it from
the same mentions, so after whole words and snapping, which the paper applied later. Checkpoints
carry the model's facts, so they open without side files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from multiclin.batch import Batch
from multiclin.bundle import Model
from multiclin.decoding import Assembler
from multiclin.document import Document
from multiclin.errors import DivergedError
from multiclin.learner import Learner
from multiclin.optimization import Rates, parameter_groups
from multiclin.regularization import Regularization
from multiclin.scoring.official import Score, score_mentions
from multiclin.scoring.seqeval import seqeval_f1
from multiclin.tuning import Emitted
from multiclin.windows import IGNORED, Tokenized

_Item = TypeVar("_Item")


class Scored(NamedTuple):
    """A gold document with what was found in it.

    Attributes:
        gold: The document with its gold mentions.
        predicted: The same with the predicted ones, of the labels that it is annotated for.
        score: Strict and overlap counts.
        gold_tags: Tag names of its tokens, one sequence per layer of each annotated label.
        predicted_tags: The same of the predicted mentions.
    """

    gold: Document
    predicted: Document
    score: Score
    gold_tags: list[list[str]]
    predicted_tags: list[list[str]]

    def score_of(self, label: str) -> Score:
        """The score for one label; nothing where the document is not annotated for it."""
        gold, predicted = (
            [span for span in document.spans if span.label == label]
            for document in (self.gold, self.predicted)
        )
        return score_mentions(gold if label in self.gold.annotated else [], predicted)


class NerModule(Learner):
    """A model in training.

    Attributes:
        scored: The documents of the last validation or test.
        emitted: What they were decoded from; None where nobody has asked for it with a list.
        tested: What the figures of a test are called: `test/strict_f1`.

    Args:
        model: The network and its facts.
        optimizer: Called with the parameter groups. Only training needs it and the next one.
        schedule: Called with the optimizer and `steps`, the number of optimizer steps in all.
        weight_decay: Decay of matrices.
        rates: Learning rates of its parts; None: all learn at the optimizer's.
        regularization: What is added to the loss of a training step.
    """

    def __init__(
        self,
        model: Model,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer] | None = None,
        schedule: Callable[..., LRScheduler] | None = None,
        weight_decay: float = 0.0,
        *,
        rates: Rates | None = None,
        regularization: Regularization | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.tagger = model.tagger
        self._optimizer, self._schedule = optimizer, schedule
        self._weight_decay, self._rates = weight_decay, rates
        self._regularization = regularization or Regularization()
        self._assembler: Assembler | None = None
        self.scored: list[Scored] = []
        self.emitted: list[Emitted] | None = None
        self.tested = "test"
        self._losses: list[tuple[float, int]] = []  # mean of a batch, labelled tokens in it

    def facts(self) -> dict[str, Any]:
        """Those of the model."""
        return self.model.facts()

    def forward(self, batch: Batch) -> Tensor:
        """Emissions, fp32, shape (batch, length, tags of all labels)."""
        return self.tagger.emissions(batch)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """What is minimised, per labelled token, weighed as the batch is in its optimizer step."""
        tags = self._tags(batch)
        loss = self._regularization.loss(self.tagger, batch.ids, batch.mask, tags)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss * batch.weight

    def on_validation_epoch_start(self) -> None:
        """Start an empty collection of documents."""
        self._assembler, self.scored, self._losses = self.model.assembler(), [], []

    def on_test_epoch_start(self) -> None:
        """The same for the test documents."""
        self.on_validation_epoch_start()

    def validation_step(self, batch: Batch, _: int) -> None:
        """Score the documents that this batch completes."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, _: int) -> None:
        """The same for the test documents."""
        self._evaluate(batch, self.tested)

    def predict_step(self, batch: Batch, _: int) -> Tensor:
        """Emissions; the prediction callback makes mentions of them."""
        return self(batch)  # type: ignore[no-any-return]

    def on_validation_epoch_end(self) -> None:
        """Log the scores over all documents and processes."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """The same for the test documents."""
        self._log_scores(self.tested)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union type
        """Optimizer over the parameter groups, schedule per optimizer step."""
        if self._optimizer is None or self._schedule is None:
            raise RuntimeError("this module was made without an optimizer: it only predicts")
        groups = parameter_groups(self.tagger, self._weight_decay, self._rates)
        optimizer = self._optimizer(groups)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = self._schedule(optimizer, steps=max(1, steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _tags(self, batch: Batch) -> Tensor:
        if batch.tags is None:
            raise ValueError("a batch without tags has no loss")
        return batch.tags

    def _evaluate(self, batch: Batch, split: str) -> None:
        if self._assembler is None:
            raise RuntimeError("evaluation has not started")
        # In fp32, as prediction runs: in bf16 a window's scores depend on what shares its batch.
        with torch.autocast(self.device.type, enabled=False):
            emissions = self(batch)
        tags = self._tags(batch)
        loss = float(self.tagger.loss(emissions, tags))
        if not math.isfinite(loss):
            raise DivergedError(
                f"{split}/loss is {loss} after {self.trainer.global_step} optimizer steps: the "
                "training diverged; lower optim.learning_rate or trainer.gradient_clip_val, or "
                "raise optim.warmup_ratio"
            )
        self._losses.append((loss, int((tags != IGNORED).sum())))
        found = self._assembler.add(batch.placed, batch.arrivals, emissions.cpu().numpy())
        self.scored += [self._score(one.tokenized, one.predicted) for one in found]
        if self.emitted is not None:
            self.emitted += [Emitted(one.tokenized, one.emissions) for one in found]

    def _score(self, one: Tokenized, predicted: Document) -> Scored:
        known = one.document.annotated
        spans = tuple(span for span in predicted.spans if span.label in known)
        gold = [span for span in one.document.spans if span.label in known]
        tagging = self.model.recipe.tagging
        visible = one.starts < one.ends
        starts, ends = one.starts[visible], one.ends[visible]
        gold_tags, predicted_tags = [], []
        for row, label in enumerate(tagging.labels):
            if label not in known or one.tags is None:
                continue
            names = tagging.scheme.names(label)
            gold_layers = one.tags[row * tagging.layers : (row + 1) * tagging.layers, visible]
            gold_tags += [[names[tag] for tag in layer] for layer in gold_layers]
            layers = tagging.tags(starts, ends, spans, label)
            predicted_tags += [[names[tag] for tag in layer] for layer in layers]
        score = score_mentions(gold, spans)
        return Scored(one.document, predicted.with_spans(spans), score, gold_tags, predicted_tags)

    def _log_scores(self, split: str) -> None:
        self.scored = sorted(self._gather(self.scored), key=lambda one: one.gold.id)
        if self.emitted is not None:
            self.emitted = self._gather(self.emitted)
        if not self.scored:
            return
        total = Score.total(one.score for one in self.scored)
        losses = self._gather(self._losses)
        labelled = max(1, sum(count for _, count in losses))
        figures = {
            "loss": sum(loss * count for loss, count in losses) / labelled,
            "strict_f1": total.strict.f1,
            "strict_precision": total.strict.precision,
            "strict_recall": total.strict.recall,
            "overlap_f1": total.overlap.f1,
            "seqeval_f1": seqeval_f1(
                [tags for one in self.scored for tags in one.gold_tags],
                [tags for one in self.scored for tags in one.predicted_tags],
                self.model.recipe.scheme,
            ),
        }
        labels = self.model.recipe.labels
        for label in labels if len(labels) > 1 else ():
            of_label = Score.total(one.score_of(label) for one in self.scored)
            figures[f"strict_f1/{label}"] = of_label.strict.f1
        for name, value in figures.items():
            # Every process has computed the same value from all documents: nothing to reduce.
            self.log(f"{split}/{name}", value, prog_bar=name == "strict_f1", rank_zero_only=False)

    def _gather(self, mine: list[_Item]) -> list[_Item]:
        """What all processes have, on each of them; one may have nothing."""
        if self.trainer.world_size == 1:
            return mine
        parts: list[list[_Item]] = [[] for _ in range(self.trainer.world_size)]
        torch.distributed.all_gather_object(parts, mine)
        return [one for part in parts for one in part]
