from __future__ import annotations

import subprocess
import sys

import pytest

from multiclin.scoring.seqeval import seqeval_f1


def test_hand_counted() -> None:
    gold = [["B-D", "I-D", "O", "B-D"], ["O", "B-D"]]
    predicted = [["B-D", "I-D", "O", "O"], ["B-D", "O"]]
    assert seqeval_f1(gold, predicted) == pytest.approx(2 * 1 / (3 + 2))


def test_a_mention_without_its_beginning_is_none() -> None:
    assert seqeval_f1([["B-D", "I-D"]], [["I-D", "I-D"]]) == 0.0


def test_bioes() -> None:
    gold = [["S-D", "O", "B-D", "E-D"]]
    assert seqeval_f1(gold, [["S-D", "O", "B-D", "I-D"]], scheme="bioes") == pytest.approx(2 / 3)


@pytest.mark.parametrize("tags", [[], [[]], [["O", "O"]]])
def test_nothing_to_find_and_nothing_found_scores_zero(tags: list[list[str]]) -> None:
    assert seqeval_f1(tags, tags) == 0.0


def test_the_scoring_room_imports_without_heavy_libraries() -> None:
    code = (
        "import sys, multiclin.evaluate, multiclin.scoring.seqeval\n"
        "heavy = {'torch', 'hydra', 'pandas', 'sklearn', 'seqeval', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
