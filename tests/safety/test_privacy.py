"""No word of a document in a message, a log or a tracker unless `privacy.log_text` asks for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from multiclin.cli import main
from multiclin.config import run, wandb_console
from multiclin.corpus.brat import parse_ann
from multiclin.corpus.exchange import Reading
from multiclin.corpus.formats import FORMATS
from multiclin.document import Document
from multiclin.errors import ConfigError, CorpusError
from multiclin.files import atomic_write
from multiclin.hpo.loop import outcome_of
from multiclin.output import Output
from multiclin.privacy import message, quoting
from multiclin.spool import Spool
from tests.commands import MODEL, Work

CANARY = "zanahoria"

BAD: dict[str, tuple[str, str]] = {
    "words that are not there": ("brat", f"T1\tX 0 5\t{CANARY}\n"),
    "no mention": ("brat", f"{CANARY} {CANARY}\n"),
    "no offsets": ("brat", f"T1\tX {CANARY} 5\tdolor\n"),
    "no fields": ("brat", f"T1 {CANARY}\n"),
    "no header": ("tsv", f"a\tX\t0\t5\t{CANARY}\n"),
    "no number": (
        "tsv",
        f"filename\tlabel\tstart_span\tend_span\ttext\na\tX\t{CANARY}\t5\tx\n",
    ),
    "other words": ("tsv", f"filename\tlabel\tstart_span\tend_span\ttext\na\tX\t0\t5\t{CANARY}\n"),
    "a token without a tag": ("conll", f"{CANARY}\n"),
    "no tag": ("conll", f"dolor {CANARY}\n"),
    "offsets of words": (
        "jsonl",
        f'{{"id": "a", "text": "x", "spans": [{{"start": "{CANARY}"}}]}}',
    ),
    "a span of other words": (
        "jsonl",
        f'{{"id": "a", "text": "x tos", "spans": [{{"start": 2, "end": 5, "text": "{CANARY}"}}]}}',
    ),
    "no JSON": ("jsonl", f'{{"{CANARY}'),
    "tokens that are not in the text": (
        "huggingface",
        f'{{"text": "{CANARY}", "tokens": ["{CANARY}s"], "ner_tags": ["O"]}}',
    ),
    "a range of words": (
        "huggingface",
        f'{{"text": "x", "spans": [{{"start": "{CANARY}", "end": 1, "label": "X"}}]}}',
    ),
    "no offset": (
        "bioc",
        f'{{"documents": [{{"id": "a", "passages": [{{"offset": "{CANARY}", "text": "x"}}]}}]}}',
    ),
}
FILES = {
    "brat": "a.ann",
    "tsv": "a.tsv",
    "conll": "a.conll",
    "jsonl": "a.jsonl",
    "huggingface": "a.jsonl",
    "bioc": "a.json",
}


@pytest.mark.parametrize("case", BAD)
def test_a_message_tells_where_and_not_which_words(tmp_path: Path, case: str) -> None:
    kind, content = BAD[case]
    (tmp_path / "a.txt").write_text(f"dolor {CANARY}")
    (tmp_path / FILES[kind]).write_text(content)

    def read() -> str:
        with pytest.raises(CorpusError) as refusal:
            for _ in FORMATS[kind].read(tmp_path, Reading()):
                pass
        return str(refusal.value)

    with quoting(False):
        said = read()
    assert CANARY not in said
    assert str(tmp_path / FILES[kind]) in said
    assert len(read()) < len(str(tmp_path)) * 2 + 300  # 40 characters at a time


def test_offsets_and_numbers_of_characters_stay() -> None:
    with quoting(False), pytest.raises(CorpusError) as refusal:
        parse_ann("T1\tX 3 11\tdiabetes\n", "sin diabetes", Path("a.ann"))
    said = "a.ann:1: offset 3-11 holds <8 characters> but the line says <8 characters>"
    assert str(refusal.value) == f"{said} (which stands at 4-12)"


def test_a_message_that_leaves_words_out_says_how_to_see_them() -> None:
    for allowed, ending in (
        (False, "\nhint: privacy.log_text=true quotes the words left out"),
        (True, "'diabetes' (which stands at 4-12)"),
    ):
        with pytest.raises(CorpusError) as refusal, quoting(allowed):
            parse_ann("T1\tX 3 11\tdiabetes\n", "sin diabetes", Path("a.ann"))
        assert str(refusal.value).endswith(ending)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError(CANARY), "in test_privacy.py, raised; privacy.log_text=true tells more"),
        (
            ValueError(f"no {CANARY}"),
            "in test_privacy.py, raised; privacy.log_text=true tells more",
        ),
        (UnicodeEncodeError("ascii", CANARY, 0, 1, "no"), "in test_privacy.py, raised; "),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (RuntimeError(f"CUDA error\n{CANARY}"), "CUDA error"),
        (ConfigError("seed=x"), "seed=x"),
    ],
)
def test_what_others_raise_is_told_by_kind_and_place(error: Exception, said: str) -> None:
    caught = raised(error)
    assert message(caught, quoted=False).startswith(said)
    assert CANARY not in message(caught, quoted=False)
    assert message(caught, quoted=True) == str(caught)


def test_the_reason_of_a_failed_trial_goes_to_all_trackers_without_words() -> None:
    job = JobReturn()
    job.status, job.return_value = JobStatus.FAILED, raised(KeyError(CANARY))
    assert CANARY not in outcome_of(job).reason
    assert outcome_of(job).reason.startswith("KeyError: in test_privacy.py")
    assert CANARY in outcome_of(job, quoted=True).reason


def test_the_console_is_no_part_of_a_tracker() -> None:
    assert wandb_console(False) == "off"
    assert wandb_console(True) == "auto"


@pytest.mark.parametrize("words", [[], ["privacy.log_text=true"]])
def test_a_command_quotes_if_it_is_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "a.ann").write_text(f"T1\tX {CANARY}\n")
    status = main(["evaluate", f"gold={tmp_path}", f"pred={tmp_path}", *words])
    err = capsys.readouterr().err
    assert status == 2
    assert (CANARY in err) == bool(words)
    assert f"{tmp_path}/a.ann:1: " in err


def test_a_tool_for_texts_quotes_a_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("dolor")
    (tmp_path / "a.ann").write_text(f"T1\tX 0 5\t{CANARY * 20}\n")
    main(["corpus", "check", str(tmp_path)])
    out = capsys.readouterr().out
    [quoted] = set(re.findall(f"'{CANARY}[a-z]*'", out))
    assert len(quoted) == 42


def test_each_job_of_a_sweep_asks_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "train.yaml").write_text(
        "privacy: {log_text: false}\nhydra: {run: {dir: x}, sweep: {dir: x}, output_subdir: null}\n"
    )
    seen: list[bool] = []

    def task(_: DictConfig) -> None:
        with pytest.raises(CorpusError) as refusal:
            parse_ann(f"T1\tX {CANARY}\n", "x", Path("a.ann"))
        seen.append(CANARY in str(refusal.value))

    run(task, "train", ["-m", "privacy.log_text=true,false"], conf)
    assert seen == [True, False]


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644)])
def test_what_holds_words_is_as_private_as_umask_says(tmp_path: Path, mask: int, mode: int) -> None:
    """Temporary files too: they lie beside what they become."""
    before = os.umask(mask)
    try:
        with atomic_write(tmp_path / "a" / "b") as stream:
            stream.write(CANARY)
            stream.flush()
            [temporary] = (tmp_path / "a").iterdir()
            assert temporary.stat().st_mode & 0o777 == mode
        spool = Spool(tmp_path / "out")
        spool.begin({})
        spool.open()
        spool.add(Document("a", CANARY))
        spool.finish()
        parts = list((tmp_path / "out").iterdir())
        assert ".predictions-0of1-0.part-wal" in {path.name for path in parts}
        modes = {path.stat().st_mode & 0o777 for path in parts}
        spool.close()
        spool.end()
        Output(tmp_path / "out", ("tsv", "brat", "jsonl")).publish(spool)
    finally:
        os.umask(before)
    modes |= {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {mode}


# A training, a search, a prediction and a broken sweep whose every text holds a canary.

MENTION = "fiebre zanahoria"
TEXTS = {
    *("documents.html", "report.html", "training_mentions.json"),
    *("gold/test.jsonl", "gold/validation.jsonl"),
    *("predictions/test.jsonl", "predictions/validation.jsonl"),
    *("predictions/test.tsv", "predictions/validation.tsv"),
    *("predictions.tsv", "predictions.jsonl"),
}
"""Files that hold words of documents because that is what they are for."""
VOCABULARY = {"model/tokenizer.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"}
"""Files with a vocabulary that was learned from the texts."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    work = Work(tmp_path_factory.mktemp("canaries"))
    for path in work.corpus.rglob("txt/*.txt"):
        text = path.read_bytes().decode()
        path.write_bytes(f"{text}\nCon {MENTION}.".encode())
        if (ann := path.parents[1] / "ann" / f"{path.stem}.ann").exists():
            start = len(text) + 5
            label = path.parents[1].name.rpartition("-")[2].upper()
            with ann.open("a") as stream:
                stream.write(f"T999\t{label} {start} {start + len(MENTION)}\t{MENTION}\n")
    return work


def holders(folder: Path) -> Iterator[str]:
    """The files below a folder that hold the canary, by their paths without runs and trials."""
    for path in folder.rglob("*"):
        if path.is_file() and CANARY.encode() in path.read_bytes().lower():
            yield re.sub(
                r"^(run|search/trials/\d+|out|sweep/[^/]+)/", "", str(path.relative_to(folder))
            )


@pytest.mark.slow
def test_words_stand_only_in_the_files_that_are_for_them(work: Work) -> None:
    tiny = ["entity=disease", "trainer.max_epochs=1", "data.cache=cache"]
    trained = work.run(*work.training("run", *tiny))
    search = [f"data.root={work.corpus}", "hydra.sweep.dir=search", "trainer=cpu", "hpo.n_trials=2"]
    searched = work.run("train.py", "-m", "hpo=optuna", *MODEL, *search, *tiny)
    texts = work.set("test", "disease") / "txt"
    predicted = work.run(*work.prediction(work.folder / "run", texts, "out", "formats=[tsv,jsonl]"))
    broken = next(work.set("train", "disease").glob("ann/*.ann"))
    with broken.open("a") as stream:
        stream.write(f"T1000\tDISEASE 0 9\t{CANARY}\n{CANARY}\n")
    swept = work.run(
        "train.py", "-m", *MODEL, *search[:1], "hydra.sweep.dir=sweep", *tiny, "seed=1"
    )

    statuses = [one.returncode for one in (trained, searched, predicted, swept)]
    assert statuses == [0, 0, 0, 2], swept.stderr
    for done in (trained, searched, predicted, swept):
        assert CANARY not in done.stdout + done.stderr
    assert "<9 characters>" in swept.stderr
    assert list(work.folder.glob("sweep/0-*/failed.json"))
    assert list(work.folder.glob("run/wandb/offline-run-*/*.wandb"))
    assert list(work.folder.glob("search/**/*.wandb"))
    found = {name for name in holders(work.folder) if not name.startswith(("corpus/", "cache/"))}
    assert found <= TEXTS | VOCABULARY
    assert {"documents.html", "gold/test.jsonl", "model/tokenizer.json"} <= found  # It is seen.
