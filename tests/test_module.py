"""A toy model is trained and scored: the same way as it predicts, whatever the batches are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from torch.optim import AdamW
from torch.utils.data import DataLoader

from multiclin.batch import Batch
from multiclin.bundle import load_model, save_bundle
from multiclin.callbacks import PredictionWriter
from multiclin.corpus.source import Corpus
from multiclin.corpus.texts import Texts
from multiclin.corpus.tsv import Row, read_rows, rows_from_documents
from multiclin.datamodule import NerDataModule
from multiclin.document import Document, Span
from multiclin.loading import Loading
from multiclin.module import NerModule
from multiclin.optimization import linear_schedule
from multiclin.output import Output, write_predictions
from multiclin.pace import Pace
from multiclin.portions import PortionStream
from multiclin.scoring.counts import Counts
from multiclin.scoring.official import official
from multiclin.splitting import Splitting
from multiclin.spool import Spool
from tests.test_bundle import emissions
from tests.toy_models import toy_model, toy_set

pytestmark = pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.")

# Parts of the training cases, so that some mentions are found and some are not.
UNSEEN = (
    "Ingresa con [insuficiencia renal aguda] y fiebre. " * 3,
    "Refiere [asma bronquial] y niega [trombosis].",
    "Sin [diabetes].",
    "",
    " \n",
)
NAMES = ["strict_f1", "strict_precision", "strict_recall", "overlap_f1", "seqeval_f1", "loss"]


class Run(NamedTuple):
    """A training."""

    trainer: pl.Trainer
    module: NerModule
    data: NerDataModule
    losses: list[float]


def evaluate(run: Run, size: int = 16) -> dict[str, float]:
    """Test metrics with batches of `size` windows."""
    run.data.loading = replace(run.data.loading, evaluation_batch_size=size)
    (found,) = trainer(1).test(run.module, run.data.documents_loader("test"), verbose=False)
    return dict(found)


def gold_rows(run: Run) -> list[Row]:
    documents = [one for role, one in run.data.corpus.documents() if role == "test"]
    return list(rows_from_documents(documents))


class Losses(pl.Callback):
    """Keeps the training loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self.values.append(float(trainer.callback_metrics["train/loss"]))


def trainer(epochs: int, *callbacks: pl.Callback, accumulated: int = 1) -> pl.Trainer:
    return pl.Trainer(
        accumulate_grad_batches=accumulated,
        max_epochs=epochs,
        check_val_every_n_epoch=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def toy_trainer(rank: int, world: int, accumulated: int) -> SimpleNamespace:
    """What the data module asks a Trainer of several processes."""
    loop = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
    return SimpleNamespace(
        global_rank=rank, world_size=world, accumulate_grad_batches=accumulated, fit_loop=loop
    )


def fit(
    root: Path, epochs: int, *, validated: bool = True, seed: int = 13, accumulated: int = 1
) -> Run:
    toy_set(root)
    toy_set(root, "test", cases=UNSEEN)
    if validated:
        toy_set(root, "dev")  # the same cases: what is learned by heart is known here
    pl.seed_everything(seed, verbose=False)
    model = toy_model()
    corpus, splitting = Corpus(root, {"disease": "DISEASE"}), Splitting(share=0)
    loading = Loading(step_size=4, workers=0, seed=seed)
    data = NerDataModule(corpus, model, splitting, loading, root / "cache")
    module = NerModule(
        model, partial(AdamW, lr=0.02), partial(linear_schedule, warmup_ratio=0.1), 0.01
    )
    losses = Losses()
    run = trainer(epochs, losses, accumulated=accumulated)
    run.fit(module, datamodule=data)
    return Run(run, module, data, losses.values)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(tmp_path_factory.mktemp("fitted"), epochs=40)


def test_training_documents_are_learned_by_heart(fitted: Run) -> None:
    assert fitted.trainer.callback_metrics["val/strict_f1"] == 1.0
    assert fitted.trainer.callback_metrics["val/seqeval_f1"] == 1.0
    assert {f"val/{name}" for name in NAMES} <= set(fitted.trainer.callback_metrics)
    assert fitted.losses[-1] < 0.1 * fitted.losses[0]


def test_one_seed_gives_one_training(tmp_path: Path) -> None:
    first, second, other = (
        fit(tmp_path / str(number), 2, seed=seed) for number, seed in enumerate((1, 1, 2))
    )
    assert first.losses == second.losses
    assert first.losses != other.losses


@pytest.mark.parametrize(("world", "accumulated"), [(2, 1), (1, 2), (3, 2), (5, 1)])
def test_a_step_has_the_same_gradient_however_it_is_shared_out(
    fitted: Run, world: int, accumulated: int
) -> None:
    """Each share divides by its part of the labels; processes and batches are then averaged."""

    def gradient(world: int = 1, accumulated: int = 1) -> list[torch.Tensor]:
        fitted.module.zero_grad()
        data = fitted.data
        for rank in range(world):
            data.trainer = cast("pl.Trainer", toy_trainer(rank, world, accumulated))
            loader = data.train_dataloader()
            data.trainer = None
            for batch in islice(loader, accumulated):
                assert batch.tags is not None
                mean = fitted.module.tagger.loss(fitted.module(batch), batch.tags)
                loss = mean * batch.weight / (world * accumulated)
                loss.backward()
        return [one.grad.clone() for one in fitted.module.parameters() if one.grad is not None]

    for one, shared in zip(gradient(), gradient(world, accumulated), strict=True):
        torch.testing.assert_close(shared, one, rtol=1e-4, atol=1e-7)


def test_accumulated_batches_train_as_one(tmp_path: Path) -> None:
    weights = [
        fit(tmp_path / str(batches), 3, accumulated=batches).module.state_dict()
        for batches in (1, 2, 3)
    ]
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=1e-4, atol=1e-6)


class Orders(pl.Callback):
    """Keeps the first window of every epoch's batches."""

    def __init__(self) -> None:
        self.epochs: list[list[tuple[int, ...]]] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self.epochs.append([])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.epochs[-1].append(tuple(batch.ids[0].tolist()))


def test_every_epoch_has_an_order_of_its_own(fitted: Run) -> None:
    orders = Orders()
    run = trainer(3, orders)
    module = NerModule(
        fitted.module.model, partial(AdamW, lr=0.0), partial(linear_schedule, warmup_ratio=0.0)
    )
    run.fit(module, datamodule=fitted.data)
    assert len({tuple(order) for order in orders.epochs}) > 1


def test_decoded_scores_are_those_of_the_written_predictions(fitted: Run, tmp_path: Path) -> None:
    found = evaluate(fitted)
    scored = fitted.module.scored
    write_predictions([one.predicted for one in scored], tmp_path / "a.tsv")
    result = official(gold_rows(fitted), read_rows(tmp_path / "a.tsv"))
    assert 0 < result["strict"]["f1"] < 1
    assert {name: round(found[f"test/{name}"], 4) for name in NAMES[:4]} == {
        "strict_f1": result["strict"]["f1"],
        "strict_precision": result["strict"]["precision"],
        "strict_recall": result["strict"]["recall"],
        "overlap_f1": result["char_f1"]["f1"],
    }


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_size_of_evaluation_batches_changes_no_metric(fitted: Run, size: int) -> None:
    found = evaluate(fitted)
    expected = fitted.module.scored
    assert evaluate(fitted, size) == pytest.approx(found, abs=1e-6)
    assert [one.predicted for one in fitted.module.scored] == [one.predicted for one in expected]


def predict(fitted: Run, folder: Path, spool: Spool) -> None:
    """The texts of the test documents, predicted in two portions, of which one may be done."""
    gold = {one.gold.id: one.gold.text for one in fitted.module.scored}
    (folder / "texts").mkdir(exist_ok=True)
    for id, text in gold.items():
        (folder / "texts" / f"{id}.txt").write_bytes(text.encode())
    texts, model = Texts(folder / "texts"), fitted.module.model
    left = spool.shard.left(texts.portions, spool.finished())
    stream = PortionStream(texts, left, model, size=2)
    writer = PredictionWriter(model, spool, Pace(len(texts), bar=False))
    loader = DataLoader(stream, batch_size=None)
    trainer(1, writer).predict(fitted.module, loader, return_predictions=False)


def test_prediction_writes_what_evaluation_scores(fitted: Run, tmp_path: Path) -> None:
    evaluate(fitted)
    expected = [one.predicted for one in fitted.module.scored]
    spool = Spool(tmp_path / "out")
    spool.begin({})
    predict(fitted, tmp_path, spool)
    spool.end()
    Output(tmp_path / "out").publish(spool)
    assert read_rows(tmp_path / "out" / "predictions.tsv") == list(rows_from_documents(expected))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.tsv"]


class Full(Spool):
    """A disk that is full once so many portions are written."""

    room = 0

    def finish(self, portion: int = 0) -> None:
        if not self.room:
            raise OSError("no space left on device")
        self.room -= 1
        super().finish(portion)


@pytest.mark.parametrize("room", [0, 1])
def test_prediction_that_fails_goes_on_with_what_it_has(
    fitted: Run, tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiclin.corpus.texts.PORTION", 2)
    evaluate(fitted)
    full = Full(tmp_path / "out")
    full.room = room
    full.begin({})
    with pytest.raises(OSError, match="no space left"):
        predict(fitted, tmp_path, full)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == (
        {".predictions.json", ".predictions.lock", ".predictions-0of1-0.part"} if room else set()
    )
    spool = Spool(tmp_path / "out")
    spool.begin({})
    predict(fitted, tmp_path, spool)
    assert spool.documents == len(fitted.module.scored) - 2 * room
    spool.end()
    Output(tmp_path / "out").publish(spool)
    expected = [one.predicted for one in fitted.module.scored]
    assert read_rows(tmp_path / "out" / "predictions.tsv") == list(rows_from_documents(expected))


def test_documents_without_letters_are_scored(fitted: Run) -> None:
    evaluate(fitted)
    blank = [one for one in fitted.module.scored if not one.gold.text.strip()]
    assert [(one.predicted.spans, one.gold_tags) for one in blank] == [((), [[]]), ((), [[]])]


def test_only_annotated_labels_are_scored(fitted: Run) -> None:
    (one,) = fitted.data.model.subwords.tokenize([Document("d", "Refiere asma.")])
    scored = fitted.module._score(one, one.document.with_spans((Span(8, 12, "DISEASE"),)))
    assert (scored.predicted.spans, scored.score.strict, scored.gold_tags) == ((), Counts(), [])


def test_a_checkpoint_and_a_bundle_hold_the_same_model(fitted: Run, tmp_path: Path) -> None:
    fitted.trainer.save_checkpoint(tmp_path / "best.ckpt")
    save_bundle(fitted.module.model, tmp_path / "model", "")
    expected = emissions(fitted.module.model)
    for name in ("best.ckpt", "model"):
        assert torch.equal(emissions(load_model(tmp_path / name)), expected)


def test_a_training_without_validation_has_no_validation_scores(tmp_path: Path) -> None:
    run = fit(tmp_path, 1, validated=False)
    assert run.losses
    assert "val/loss" not in run.trainer.callback_metrics


def test_a_module_that_only_predicts_cannot_be_trained(fitted: Run) -> None:
    with pytest.raises(RuntimeError, match="made without an optimizer: it only predicts"):
        NerModule(fitted.module.model).configure_optimizers()


@pytest.mark.parametrize(("most", "norm"), [(0.5, 0.5), (100.0, 5.0), (None, 5.0)])
def test_gradients_are_clipped_in_bf16_by_a_fused_optimizer_too(
    most: float | None, norm: float
) -> None:
    module = NerModule(toy_model())
    module.trainer = SimpleNamespace(  # type: ignore[assignment]
        precision_plugin=MixedPrecision("bf16-mixed", "cpu")
    )
    parameters = [one for one in module.parameters() if one.requires_grad]
    for one in parameters:
        one.grad = torch.zeros_like(one)
    assert parameters[0].grad is not None
    parameters[0].grad.view(-1)[:2] = torch.tensor([3.0, 4.0])
    optimizer = AdamW(module.parameters(), fused=True)
    module.configure_gradient_clipping(optimizer, most, "norm")
    assert float(parameters[0].grad.norm()) == pytest.approx(norm, abs=1e-4)
