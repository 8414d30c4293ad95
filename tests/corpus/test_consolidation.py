"""One text for the entity versions of a case: which mentions are carried over, and what is written.

Mentions of the texts below stand in brackets.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiclin.cli import main
from multiclin.corpus.alignment import Alignment, Letters
from multiclin.corpus.brat import write_ann, write_text
from multiclin.corpus.consolidation import Carried, carry, consolidated
from multiclin.corpus.release import find_sets, read_sets
from multiclin.document import Document
from tests.corpus.versions import case_of_all, judged, version
from tests.toy_models import marked

FIRST, LAST = "its first word has changed", "its last word has changed"
MANY = "too many of its words have changed"


def carried(source: str, target: str) -> Carried:
    return carry(marked(source), Alignment.of(*map(Letters.of, (marked(source).text, target))))


def in_brackets(document: Document) -> str:
    """The text with its mentions in brackets again."""
    text = document.text
    for span in sorted(document.spans, key=lambda span: -span.start):
        text = f"{text[: span.start]}[{text[span.start : span.end]}]{text[span.end :]}"
    return text


@pytest.mark.parametrize(
    ("source", "target", "similar"),
    [
        ("Con [tos] hoy.", "Con [tos] hoy.", 0),
        ("Con [insuficiencia renal].", "Y con [Insuficiencia\nRENAL].", 0),
        ("Con [dolor torácico].", "Con gran [dolor toracico].", 0),
        ("Un [TAC].", "Un [T A C].", 0),  # Spacing: a word is cut, or made of several.
        ("Es [T2]N0.", "Era [T2]N0.", 0),  # It cuts a word as before,
        ("Es [T2]N0.", "Era [T2] N0.", 0),  # or none any more.
        ("Con [insuficiencia renal] hoy.", "Con [insuficiencias renales] hoy.", 1),
        ("Con [diabetis] hoy.", "Con [diabetes] hoy.", 1),
        ("Con [dolores] hoy.", "Con mucho [dolor] hoy.", 1),
        ("La [lesión de la arteria].", "La [lesión de arteria].", 1),
        ("Con [insuficiencia renal aguda].", "Con [insuficiencia rneal aguda].", 1),
    ],
)
def test_a_mention_of_the_same_or_like_words_is_carried_over(
    source: str, target: str, similar: int
) -> None:
    found = carried(source, target.replace("[", "").replace("]", ""))
    assert in_brackets(found.document) == target
    assert (found.lost, found.similar) == ((), similar)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Con [tos] hoy.", "Con asma hoy.", FIRST),
        ("Con [tos] hoy.", "", FIRST),
        ("Con [insuficiencia renal].", "Con fallo renal.", FIRST),
        ("Con [insuficiencia renal].", "Con insuficiencia cardíaca.", LAST),
        (
            "Un [quiste de ovario derecho].",
            "Un quiste, tres nódulos y una imagen en el ovario derecho.",
            MANY,
        ),
        ("Es [T2]N0.", "Era T3N0.", LAST),
        ("Con [-].", "Con.", FIRST),
        ("Con[ ]tos.", "Con tos.", "it has no letter"),
    ],
)
def test_a_mention_of_other_words_is_lost(source: str, target: str, reason: str) -> None:
    found = carried(source, target)
    assert found.document.spans == ()
    assert [why for _, why in found.lost] == [reason]


def test_the_text_is_that_of_fewest_losses() -> None:
    """`tos` is in two of the texts, `asma` in one: with that one nothing is lost."""
    found = consolidated(
        {
            "disease": marked("Con asma y [gota]."),
            "procedure": marked("Con tos y [gota]."),
            "symptom": marked("Con [tos] y gota."),
        }
    )
    assert {one.document.text for one in found.values()} == {"Con tos y gota."}
    assert sum(len(one.lost) for one in found.values()) == 0


def test_of_texts_without_losses_it_is_that_of_most_versions_then_of_the_first_entity() -> None:
    two = {"a": marked("Una [tos]."), "b": marked("La [gota]!"), "c": marked("La [asma]!")}
    two |= {"a": marked("Una gota y asma y [tos]!"), "b": marked("La [gota] y asma y tos!")}
    two |= {"c": marked("La gota y [asma] y tos!")}
    assert consolidated(two)["a"].document.text == "La gota y asma y tos!"
    del two["c"]
    assert consolidated(two)["b"].document.text == "Una gota y asma y tos!"


def test_versions_of_one_text_stay_as_they_are() -> None:
    versions = {"a": marked("[Tos] y gota", label="A"), "b": marked("Tos y [gota]", label="B")}
    assert {entity: one.document for entity, one in consolidated(versions).items()} == versions


WORDS = ["insuficiencia", "renal", "de", "la", "tos", "y", ",", "dolor", "HER2+", "é"]


@st.composite
def cases(draw: st.DrawFn) -> Document:
    """A case with mentions of two labels, each of some words, which may nest."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=30))
    parts = []
    for label in ("A", "B"):
        first = draw(st.integers(0, len(words) - 1))
        last = draw(st.integers(first, min(first + 4, len(words) - 1)))
        text = [*words[:first], "[", *words[first : last + 1], "]", *words[last + 1 :]]
        parts.append(marked(" ".join(text).replace("[ ", "[").replace(" ]", "]"), label=label))
    return case_of_all(parts)


@given(cases(), st.randoms(use_true_random=False))
def test_case_accents_and_gaps_lose_nothing(whole: Document, rng: Random) -> None:
    """Each mention stands where it stood, whatever happened to letters and white space."""
    gaps = " ".join(rng.choice(["", " ", "\n"]) + word for word in whole.text.split(" "))
    target = gaps.upper() if rng.random() < 0.5 else gaps.replace("é", "e\u0301")
    found = carry(whole, Alignment.of(Letters.of(whole.text), Letters.of(target)))
    assert (found.lost, found.similar) == ((), 0)
    said = [Letters.of(whole.text[s.start : s.end]).letters for s in whole.spans]
    assert said == [Letters.of(target[s.start : s.end]).letters for s in found.document.spans]


@given(cases(), st.floats(0, 1), st.randoms(use_true_random=False))
def test_every_mention_is_kept_or_lost_and_the_order_stays(
    whole: Document, strength: float, rng: Random
) -> None:
    other = version(whole, strength, WORDS, rng)
    found = carry(whole, Alignment.of(Letters.of(whole.text), Letters.of(other.text)))
    assert found.document.text == other.text
    assert len(found.document.spans) + len(found.lost) == len(whole.spans)
    assert 0 <= found.similar <= len(found.document.spans)


def test_of_versions_that_differ_in_words_nearly_all_is_kept_and_right() -> None:
    """40 cases with a tenth of the words changed in each version: .96 kept; all stand right."""
    text = (
        "Varón con [insuficiencia renal aguda] tras [cirugía]; refiere [dolor torácico], [tos] y "
    )
    rng = Random(3)
    others = [f"{a}{b}{c}ndo" for a in "bcdfg" for b in "aeiou" for c in "lmnrst"]
    totals = [0, 0, 0, 0]
    for number in range(40):
        fillers = " ".join(rng.sample(["niega", "alergias", "consulta", "hoy", "ingresa"], 3))
        parts = [marked(text + f"{fillers} [fiebre] en {number} días.", label=x) for x in "AB"]
        counts = judged(case_of_all(parts), 0.1, others, rng)
        totals = [total + one for total, one in zip(totals, counts, strict=True)]
    mentions, kept, right, _ = totals
    assert mentions == 400
    assert kept > 0.94 * mentions
    assert right == kept


# The command


def written(root: Path, language: str, entity: str, texts: list[str], split: str = "train") -> Path:
    name = f"MultiClinNER-{language}-{split}-{entity}"
    folder = root / f"MultiClinNER-{language}" / name
    for number, text in enumerate(texts, 1):
        one = marked(text, f"{name}-{number:04d}", entity.upper(), language)
        write_text(one, folder / "txt")
        write_ann(one, folder / "ann")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two Spanish cases in two entity folders, one case with other words; and a test set."""
    root = tmp_path / "tree"
    written(root, "es", "disease", ["Con [asma] leve.", "Niega [gota] y tos."])
    written(root, "es", "symptom", ["Con asma leve, [tos].", "Niega artritis y [tos]."])
    written(root, "es", "disease", ["[Asma]"], "test")
    return root


def test_the_command_says_what_is_kept_and_writes_a_tree(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["corpus", "consolidate", str(tree), str(out), "--json", f"{tmp_path}/a.json"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "language  label    mentions  kept  share kept  changed words  lost",
        "es        DISEASE         2     2      1.0000              0     0",
        "es        SYMPTOM         2     2      1.0000              0     0",
        "all                       4     4      1.0000              0     0",
        "2 cases, 0 of them of one text already; text taken from: disease 1, symptom 1",
        f"to train on it: python train.py entity=joint data.root={out}",
    ]
    found = {document.id[13:]: document for _, document in read_sets(find_sets(out))}
    assert {name: in_brackets(document) for name, document in found.items()} == {
        "es-train-disease-0001": "Con [asma] leve, tos.",
        "es-train-disease-0002": "Niega [gota] y tos.",
        "es-train-symptom-0001": "Con asma leve, [tos].",
        "es-train-symptom-0002": "Niega gota y [tos].",
        "es-test-disease-0001": "[Asma]",
    }
    table = out / "MultiClinNER-es/MultiClinNER-es-train-symptom/tsv"
    assert (table / "MultiClinNER-es-train-symptom.tsv").read_text().count("\n") == 3
    assert json.loads((tmp_path / "a.json").read_text())["lost"] == []


def test_every_loss_is_in_the_json_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "tree", "es", "disease", ["Con [un asma muy grave] y disnea."])
    written(tmp_path / "tree", "es", "symptom", ["Con crisis y [disnea] de [esfuerzos] o [tos]."])
    words = [str(tmp_path / "tree"), str(tmp_path / "out"), "--json", str(tmp_path / "a.json")]
    assert main(["corpus", "consolidate", *words]) == 0
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "cases": 1,
        "alike": 0,
        "chosen": {"symptom": 1},
        "kept": [
            {"language": "es", "label": "DISEASE", "mentions": 1, "kept": 0, "similar": 0},
            {"language": "es", "label": "SYMPTOM", "mentions": 3, "kept": 3, "similar": 0},
        ],
        "lost": [
            {
                "language": "es",
                "id": "MultiClinNER-es-train-disease-0001",
                "label": "DISEASE",
                "start": 4,
                "end": 21,
                "reason": FIRST,
                "excerpt": "'un asma muy grave'",
            }
        ],
    }
    table = capsys.readouterr().err.splitlines()
    assert [line.split() for line in table] == [
        ["lost,", "for", "mentions"],
        [*FIRST.split(), "1"],
    ]


def test_the_same_tree_comes_out_of_a_consolidated_one(tree: Path, tmp_path: Path) -> None:
    for source, target in ((tree, "once"), (tmp_path / "once", "twice")):
        assert main(["corpus", "consolidate", str(source), str(tmp_path / target)]) == 0
    once, twice = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "once", tmp_path / "twice")
    )
    assert once == twice


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tree", "tree"], "tree lies in"),
        (["tree", "tree/new"], "lies in"),
        (["tree", "there"], "there exists already"),
        (["tree/MultiClinNER-es/MultiClinNER-es-train-disease", "new"], "no versions to"),
        (["there", "new"], "no set of documents found"),
        (["tree", "new", "--json", "a.json"], "a.json exists already"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    tree: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tree.parent)
    Path("there").mkdir()
    Path("a.json").touch()
    assert main(["corpus", "consolidate", *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("new").exists()


def test_a_broken_file_is_named_and_nothing_is_written(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(tree.rglob("*symptom-0002.ann"))
    path.write_text("T1\tSYMPTOM 900 903\ttos\n")
    assert main(["corpus", "consolidate", str(tree), str(tmp_path / "out")]) == 2
    assert f"{path}:1: offset 900-903" in capsys.readouterr().err
    assert {one.name for one in tmp_path.iterdir()} == {"tree"}


def test_versions_are_known_by_their_case(tmp_path: Path) -> None:
    """A case that one folder lacks stays as it is."""
    written(tmp_path / "tree", "it", "disease", ["Con [asma].", "Con [gotta]."])
    written(tmp_path / "tree", "it", "symptom", ["Con  asma e [tosse]."])
    assert main(["corpus", "consolidate", str(tmp_path / "tree"), str(tmp_path / "out")]) == 0
    found = [in_brackets(one) for _, one in read_sets(find_sets(tmp_path / "out"))]
    assert found == ["Con  [asma] e tosse.", "Con [gotta].", "Con  asma e [tosse]."]


def test_mentions_keep_their_labels() -> None:
    one = marked("La [tos].", label="X")
    found = carry(one, Alignment.of(Letters.of(one.text), Letters.of("Una tos.")))
    assert found.document.spans == (replace(one.spans[0], start=4, end=7),)
