"""Which documents are trained on and which validate, and what the loaders give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch

from multiclin.augmentation import Augmentation
from multiclin.batch import Batch
from multiclin.corpus.replay import ReplayedCorpus
from multiclin.corpus.source import Corpus
from multiclin.datamodule import NerDataModule
from multiclin.document import Document
from multiclin.errors import CheckpointError, ConfigError, CorpusError
from multiclin.loading import Loading
from multiclin.mixture import Sampling
from multiclin.splitting import Splitting
from multiclin.store import Store
from multiclin.vocabulary import vocabulary
from tests.toy_models import CASES, marked, toy_model, toy_set

LABELS = {"disease": "DISEASE"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six Spanish training and two test documents, the second of them without mentions."""
    folder = tmp_path_factory.mktemp("corpus")
    toy_set(folder)
    toy_set(folder, "test", cases=[CASES[0], "Sin datos."])
    return folder


def opened(root: Path, cache: Path, splitting: Splitting | None = None) -> NerDataModule:
    data = NerDataModule(
        Corpus(root, LABELS),
        toy_model(),
        splitting or Splitting(share=0.2),
        Loading(step_size=2, evaluation_batch_size=3, workers=0),
        cache,
    )
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture(scope="module")
def data(root: Path, tmp_path_factory: pytest.TempPathFactory) -> NerDataModule:
    return opened(root, tmp_path_factory.mktemp("cache"))


def texts(batches: Iterable[Batch]) -> list[tuple[int, ...]]:
    """The windows of the batches, each as its subwords."""
    return [
        tuple(ids[mask.bool()].tolist())
        for batch in batches
        for ids, mask in zip(batch.ids, batch.mask, strict=True)
    ]


def test_documents_are_tokenised_once(root: Path, tmp_path: Path) -> None:
    first = opened(root, tmp_path)
    (store,) = (path for path in tmp_path.iterdir() if path.is_dir())  # Its lock stays beside.
    stamp = store.stat().st_mtime_ns
    again = opened(root, tmp_path, Splitting(share=0.5))
    assert again.folder == first.folder == store
    assert store.stat().st_mtime_ns == stamp


def test_nothing_is_kept_of_a_corpus_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_set(tmp_path)
    read = Corpus.documents

    def documents(corpus: Corpus) -> Iterator[tuple[str, Document]]:
        yield from read(corpus)
        next(tmp_path.rglob("*.ann")).unlink()

    monkeypatch.setattr(Corpus, "documents", documents)
    with pytest.raises(CorpusError, match="has changed while it was read"):
        opened(tmp_path, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_another_scheme_or_rule_is_another_store(root: Path, tmp_path: Path) -> None:
    folders = set()
    for changes in ({}, {"scheme": "bioes"}, {"overlaps": "first"}, {"labels": ("X",)}):
        model = toy_model()
        model = replace(model, recipe=replace(model.recipe, **changes))
        corpus = Corpus(root, LABELS)
        folders.add(NerDataModule(corpus, model, Splitting(), Loading(), tmp_path).folder)
    assert len(folders) == 4


def test_every_training_window_comes_once_an_epoch_in_another_order(data: NerDataModule) -> None:
    loader = data.train_dataloader()
    first = texts(loader)
    loader.batch_sampler.set_epoch(1)  # type: ignore[union-attr]
    second = texts(loader)
    windows = [
        window
        for number in data.split["train"]
        for window in data.model.windowing.cut(int(data.store.lengths[number]))
    ]
    assert len(first) == len(windows)
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.fixture
def changing(root: Path, tmp_path: Path) -> NerDataModule:
    """One that replaces half of all tokens in training."""
    data = opened(root, tmp_path)
    data.loading = replace(data.loading, augmentation=Augmentation(random=0.5))
    return data


def placed(data: NerDataModule, rank: int = 0, world: int = 1) -> NerDataModule:
    """The data module in one of several processes, before Lightning has told the Trainer."""
    loop = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
    place = {"global_rank": rank, "world_size": world, "accumulate_grad_batches": 1}
    data.trainer = cast("pl.Trainer", SimpleNamespace(**place, fit_loop=loop))
    return data


@pytest.mark.parametrize("workers", [0, 2])
def test_windows_are_changed_anew_in_each_epoch(changing: NerDataModule, workers: int) -> None:
    """In whatever process; a run that goes on sees the same ones."""
    changing.loading = replace(changing.loading, workers=workers)
    loader = changing.train_dataloader()
    first = texts(loader)
    loader.batch_sampler.set_epoch(1)  # type: ignore[union-attr]
    second = texts(loader)
    assert len(first) == len(second)
    assert not set(first) & set(second)
    placed(changing).load_state_dict({"epoch": 1, "done": 1})
    rest = texts(changing.train_dataloader())
    assert rest == second[-len(rest) :] != second


def test_windows_are_changed_in_training_alone(
    data: NerDataModule, changing: NerDataModule
) -> None:
    assert texts(changing.test_dataloader()) == texts(data.test_dataloader())
    assert texts(changing.val_dataloader()) == texts(data.val_dataloader())
    changed, plain = (texts(one.train_dataloader()) for one in (changing, data))
    assert list(map(len, changed)) == list(map(len, plain))
    assert not set(changed) & set(plain)


def test_processes_change_windows_alike(changing: NerDataModule) -> None:
    alone = texts(changing.train_dataloader())
    parts = (texts(placed(changing, rank, 2).train_dataloader()) for rank in range(2))
    assert {one for part in parts for one in part} == set(alone)


ORDER = {
    "seed": 13,
    "data.effective_batch_size": 2,
    "batches accumulated": 1,
    "training windows": 5,
}


@pytest.fixture
def resumed(data: NerDataModule) -> Iterator[Callable[..., NerDataModule]]:
    """Makes the data module that of a run which goes on, before Lightning has told the Trainer."""

    def at(epoch: int, done: int, **order: int | str) -> NerDataModule:
        order = {**ORDER, **order}
        placed(data).load_state_dict({"epoch": epoch, "done": done, "order": order})
        return data

    yield at
    data.trainer = None
    data.load_state_dict({})


def test_a_resumed_run_begins_with_the_order_of_its_epoch(
    data: NerDataModule, resumed: Callable[..., NerDataModule]
) -> None:
    later = data.train_dataloader()
    later.batch_sampler.set_epoch(3)  # type: ignore[union-attr]
    assert texts(resumed(epoch=3, done=0).train_dataloader()) == texts(later)


@pytest.mark.parametrize(("done", "left"), [(0, 3), (2, 1)])
def test_a_run_stopped_in_mid_epoch_has_the_rest_of_it_left(
    resumed: Callable[..., NerDataModule], done: int, left: int
) -> None:
    loader = resumed(epoch=1, done=done).train_dataloader()
    assert len(list(loader)) == left
    assert len(list(loader)) == 3  # The next epoch.


def test_a_position_belongs_to_an_order(resumed: Callable[..., NerDataModule]) -> None:
    message = "effective_batch_size was 4 and is 2, training windows was 7 and is 5; say the same"
    with pytest.raises(CheckpointError, match=message):
        resumed(1, 2, **{"data.effective_batch_size": 4, "training windows": 7}).train_dataloader()


def test_loaders_leave_the_generator_of_dropout_alone(data: NerDataModule) -> None:
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader()):
        list(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_whole_documents_come_with_their_gold(data: NerDataModule) -> None:
    (batch,) = data.test_dataloader()
    found = [one.document for one in batch.arrivals.values()]
    assert sorted((one.text, one.spans) for one in found) == [
        (one.text, one.spans)
        for one in (marked(CASES[0], label="DISEASE"), marked("Sin datos.", label="DISEASE"))
    ]


def test_processes_share_the_documents_out(data: NerDataModule) -> None:
    ids = []
    for rank in range(2):
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)  # type: ignore[assignment]
        loader = data.documents_loader("test")
        ids.append([one.document.id for batch in loader for one in batch.arrivals.values()])
    data.trainer = None
    name = "MultiClinNER-es-test-disease"
    assert ids == [[f"{name}-0001"], [f"{name}-0002"]]


def test_a_text_in_two_splits_is_found(data: NerDataModule) -> None:
    side = "train" if 0 in data.split["train"] else "validation"
    name = "MultiClinNER-es"
    assert data.leaks() == [
        (("test", f"{name}-test-disease-0001"), (side, f"{name}-train-disease-0001"))
    ]


def test_tags_are_counted_in_the_training_documents(data: NerDataModule) -> None:
    ((outside, begins, _),) = data.tag_counts()
    documents = [data.store.tokenized(number) for number in data.split["train"]]
    assert begins == sum(len(one.document.spans) for one in documents)  # BIO: one B each
    assert outside == sum(int((one.tags == 0).sum()) for one in documents if one.tags is not None)


def test_headers_and_ceilings_follow_the_split(data: NerDataModule) -> None:
    assert {name: len(side) for name, side in data.headers().items()} == {
        "train": 5,
        "validation": 1,
        "test": 2,
    }
    assert data.ceilings()["test"]["es"].gold == 1


def test_a_vocabulary_is_learned_from_the_training_texts_once(root: Path, tmp_path: Path) -> None:
    ids, cache = tmp_path / "ids", tmp_path / "cache"

    def unknown() -> list[str]:
        made = vocabulary(Corpus(root, LABELS), Splitting(ids=ids), 200, cache)
        return [letter for letter in "íR" if made.id_of(letter) is None]

    ids.write_text("MultiClinNER-es-train-disease-0001\n")  # only this one has an `í`
    assert unknown() == unknown() == ["í"]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1
    ids.write_text("MultiClinNER-es-train-disease-0003\n")  # only this one has an `R`
    assert unknown() == ["R"]


def test_every_fold_has_its_own_vocabulary_and_ceilings(root: Path, tmp_path: Path) -> None:
    for fold in (0, 1, 0):
        vocabulary(Corpus(root, LABELS), Splitting(fold=fold, folds=3), 200, tmp_path / "words")
        opened(root, tmp_path / "store", Splitting(fold=fold, folds=3)).ceilings()
    assert len([path for path in (tmp_path / "words").iterdir() if path.is_dir()]) == 2
    assert len(list((tmp_path / "store").rglob("ceiling-*.json"))) == 2


def test_a_list_of_ids_that_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"ids: cannot be read"):
        opened(root, tmp_path / "cache", Splitting(ids=tmp_path / "ids"))


def test_workers_are_chosen_unless_told() -> None:
    assert Loading(workers=3).worker_processes == 3


def test_validation_while_training_may_look_at_a_part(root: Path, tmp_path: Path) -> None:
    whole = opened(root, tmp_path, Splitting(share=0.5))
    numbers = whole.split["validation"]
    assert len(numbers) > 2
    whole.loading = replace(whole.loading, validated=0.5)
    part, again = texts(whole.val_dataloader()), texts(whole.val_dataloader())
    everything = texts(whole.documents_loader("validation"))
    assert part == again
    assert len(part) == math.ceil(len(everything) / 2)
    assert set(part) <= set(everything)


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"data.validation.fraction=.* above 0 and at most 1"):
        Loading(validated=share)


def test_ceilings_are_counted_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time they come from beside the store, and are the same."""
    first = opened(root, tmp_path).ceilings()
    monkeypatch.setattr(Store, "tokenized", None)
    assert opened(root, tmp_path).ceilings() == first


# Versions of one text, other languages, an older corpus


@pytest.fixture
def joint(tmp_path: Path) -> NerDataModule:
    """Two entities of three training cases, one of them with another text, and of one to test."""
    for entity in ("disease", "symptom"):
        cases = ["Con [asma].", "Con [gota].", f"Con [tos] ({entity})."]
        toy_set(tmp_path / "corpus", cases=cases, entity=entity)
        toy_set(tmp_path / "corpus", "test", cases=cases[:1], entity=entity)
    labels = {"disease": "DISEASE", "symptom": "SYMPTOM"}
    corpus, model = Corpus(tmp_path / "corpus", labels), toy_model(tuple(labels.values()))
    data = NerDataModule(corpus, model, Splitting(share=0), Loading(2, workers=0), tmp_path / "c")
    data.prepare_data()
    data.setup()
    return data


def test_versions_of_one_text_are_one_window_to_train_on(joint: NerDataModule) -> None:
    """Two joined and two alone; documents that are tested on keep their names."""
    assert len(joint.split["train"]) == 6
    batches = list(joint.train_dataloader())
    gold = [(tags >= 0).any(dim=1).tolist() for one in batches for tags in cast("Any", one.tags)]
    assert sorted(gold) == [[False, True], [True, False], [True, True], [True, True]]
    groups = {group.labels: len(rows) for group, rows in joint.mixture.windows.items()}
    assert groups == {("DISEASE",): 1, ("DISEASE", "SYMPTOM"): 2, ("SYMPTOM",): 1}
    tested = [one.document for batch in joint.test_dataloader() for one in batch.arrivals.values()]
    assert sorted(one.id for one in tested) == [
        "MultiClinNER-es-test-disease-0001",
        "MultiClinNER-es-test-symptom-0001",
    ]


@pytest.fixture
def replaying(tmp_path: Path) -> NerDataModule:
    """Three cases to train on, and an older corpus of two entities, whose texts are partly theirs.

    Of its five training texts one is tested on and one validated on; of its two test texts the
    Italian one is of no use.
    """
    toy_set(tmp_path / "new", cases=["Con [asma].", "Con [gota].", "Con [cólera]."])
    toy_set(tmp_path / "new", "dev", cases=["Sin [asma]."])
    toy_set(tmp_path / "new", "test", cases=["Sin [gota]."])
    older = ["Y [asma].", "Sin [asma].", "Y [gota].", "sin  [gota].", "Con [gota]."]
    for entity in ("disease", "symptom"):
        toy_set(tmp_path / "old", cases=older, entity=entity)
    toy_set(tmp_path / "old", "test", cases=["O [asma]."])
    toy_set(tmp_path / "old", "test", "it", cases=["O [asma]."])
    labels = {"disease": "DISEASE", "symptom": "SYMPTOM"}
    corpus = ReplayedCorpus.of(Corpus(tmp_path / "new", labels), Corpus(tmp_path / "old", labels))
    model = toy_model(tuple(labels.values()))
    loading = Loading(2, workers=0, sampling=Sampling(replayed=0.5))
    data = NerDataModule(corpus, model, Splitting(share=0), loading, tmp_path / "cache")
    data.prepare_data()
    data.setup()
    return data


def test_an_older_corpus_is_mixed_in_but_for_texts_that_are_scored(
    replaying: NerDataModule,
) -> None:
    def texts_of(part: str) -> set[str]:
        return {replaying.store.text(number) for number in replaying.parts[part]}

    assert {part: len(numbers) for part, numbers in replaying.parts.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
        "replayed": 6,
        "replayed_test": 1,
    }
    assert texts_of("replayed") == {"Y asma.", "Y gota.", "Con gota."}
    assert texts_of("replayed_test") == {"O asma."}
    assert replaying.leaks() == []
    assert len(list(replaying.train_dataloader())) == 3  # 3 windows and 3 replayed ones, by two.
    assert {group.replayed: len(rows) for group, rows in replaying.mixture.windows.items()} == {
        False: 3,
        True: 3,  # Two versions each.
    }


def test_the_store_of_a_corpus_alone_is_another_one(replaying: NerDataModule) -> None:
    corpus = cast("ReplayedCorpus", replaying.corpus)
    alone = NerDataModule(
        corpus.parts[0], replaying.model, Splitting(), replaying.loading, replaying.cache
    )
    assert alone.folder != replaying.folder


def test_a_run_goes_on_with_the_same_draws_only(
    resumed: Callable[..., NerDataModule],
) -> None:
    order = {"data.sampling": "temperature 2"}
    with pytest.raises(CheckpointError, match="sampling was temperature 2 and is every window"):
        resumed(1, 2, **order).train_dataloader()
