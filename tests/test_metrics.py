"""Metrics: worked examples by hand, and the mistakes that each example catches."""
import math
import random
from collections import Counter

import numpy as np
import pytest

from clinicalgpt import metrics
from clinicalgpt.metrics import (
    bleu,
    bleu_of,
    bleu_rows,
    common_subsequence,
    corpus_bleu,
    distinct,
    end_rate,
    gleu,
    length,
    mean_sentence_bleu,
    repetition,
    rouge,
    sentence_bleu,
    signature,
    tokens,
)

# Against 患者发热咳嗽 (6 tokens), 患者咳嗽 (4 tokens) has
#   1-grams 4 of 4, 2-grams 2 of 3 (not 者咳), 3-grams 0 of 2, 4-grams 0 of 1; brevity exp(1 - 6/4)
SHORT, LONG = "患者咳嗽", "患者发热咳嗽"


def test_tokens():
    assert tokens("体温37.5度，服维生素B12共5mg") == [*"体温", "37.5", *"度，服维生素", "b12", *"共5", "mg"]
    assert tokens("Take X-ray　of chest.") == ["take", "x", "-", "ray", "of", "chest", "."]
    assert tokens(" \n") == []


def check_bleu(bleu):
    assert bleu([SHORT], [LONG], n=2) == pytest.approx(math.exp(1 - 6 / 4) * math.sqrt(4 / 4 * 2 / 3))
    assert bleu(["我我我"], ["我们好"], n=1) == pytest.approx(1 / 3)                  # two are clipped
    # over a corpus counts are added: (4 + 1) / (4 + 3) 1-grams, no brevity penalty for 7 tokens against 4 + 3
    assert bleu([SHORT, "我我我"], [SHORT, "我们好"], n=1) == pytest.approx(5 / 7)


def test_bleu():
    check_bleu(bleu)
    assert bleu([LONG], [LONG]) == 1 and bleu([SHORT], [LONG]) == 0 and bleu([""], [LONG]) == 0
    # two references: 咳 and 嗽 from one, 热 from the other; both are one token off, so r = 2: no penalty
    assert bleu(["热咳嗽"], [["咳嗽", "发热头痛"]], n=1) == pytest.approx(1)
    with pytest.raises(ValueError):
        bleu(["a", "b"], ["a"])


def test_the_bleu_check_has_teeth(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "matches", lambda counts, other: sum(counts[g] for g in counts if g in other))
        with pytest.raises(AssertionError):                                         # counts are not clipped
            check_bleu(bleu)
    with pytest.raises(AssertionError):                                             # no brevity penalty
        check_bleu(lambda h, r, n: corpus_bleu(bleu_rows(h, r, n) * np.array([1, 0, *[1] * 2 * n])))
    with pytest.raises(AssertionError):                                             # a mean of sentences
        check_bleu(lambda h, r, n: float(np.mean([bleu([a], [b], n) for a, b in zip(h, r, strict=True)])))


# precisions of SHORT against LONG: 4/4, 2/3, then for 0 of 2 and 0 of 1
@pytest.mark.parametrize(("smoothing", "precisions"), [
    ("none", (1, 2 / 3, 0, 0)),
    ("method1", (1, 2 / 3, 0.1 / 2, 0.1 / 1)),
    ("method2", (1, 3 / 4, 1 / 3, 1 / 2)),
    ("method3", (1, 2 / 3, 1 / 2 / 2, 1 / 4 / 1)),
])
def test_smoothing_of_the_orders_without_a_match(smoothing, precisions):
    expected = math.exp(1 - 6 / 4) * math.prod(precisions) ** 0.25
    assert sentence_bleu(SHORT, LONG, smoothing=smoothing) == pytest.approx(expected)
    assert bleu([SHORT], [LONG], smoothing=smoothing) == pytest.approx(expected)      # a corpus of one
    assert sentence_bleu("头痛", LONG, smoothing=smoothing) == 0                       # nothing to smooth
    assert mean_sentence_bleu([SHORT, LONG, "头痛"], [LONG] * 3, smoothing=smoothing) \
        == pytest.approx((expected + 1) / 3)


def test_a_smoothing_that_is_none_is_refused():
    with pytest.raises(ValueError, match="method4.*none, method1"):
        bleu([SHORT], [LONG], smoothing="method4")


def test_rows_of_four_orders_hold_those_of_fewer():
    rows, references = bleu_rows([SHORT, "咳", ""], [LONG] * 3), [LONG] * 3
    for n in (1, 2, 3, 4):
        assert bleu_of(rows[:, :2 + 2 * n].sum(0)) == bleu([SHORT, "咳", ""], references, n)
    assert rows.tolist()[:2] == [[4, 6, 4, 4, 2, 3, 0, 2, 0, 1], [1, 6, 1, 1, 0, 1, 0, 1, 0, 1]]


def test_signature_names_what_moves_the_number():
    assert "smoothing method1" in signature("sentence BLEU", smoothing="method1") and "n 1-2" in signature(
        "BLEU", n=2)
    assert all("a Chinese character" in signature(name) for name in metrics.FORMS if name != "end rate")


def test_gleu():
    # matches 4 + 2; n-grams of the answer 4+3+2+1 = 10, of the reference 6+5+4+3 = 18
    assert gleu([SHORT], [LONG]) == gleu([LONG], [SHORT]) == pytest.approx(6 / 18)
    assert gleu([SHORT, "头痛"], [LONG, "头痛"]) == pytest.approx((6 + 3) / (18 + 3))
    assert gleu([SHORT], [["头", LONG]]) == pytest.approx(6 / 18)
    assert gleu([SHORT, ""], [LONG, ""]) == pytest.approx(6 / 18) and gleu([""], [""]) == 0


def test_rouge():
    # 1-grams P 4/4, R 4/6; 2-grams P 2/3, R 2/5; the longest common subsequence is the whole answer
    assert rouge([SHORT], [LONG]) == pytest.approx({"rouge1": 0.8, "rouge2": 0.5, "rougeL": 0.8})
    assert rouge(["嗽咳"], ["咳嗽"]) == pytest.approx({"rouge1": 1, "rouge2": 0, "rougeL": 0.5})
    assert rouge([LONG, ""], [LONG, LONG]) == pytest.approx({"rouge1": 0.5, "rouge2": 0.5, "rougeL": 0.5})


def test_common_subsequence_equals_the_table():
    generator = random.Random(0)
    for _ in range(100):
        a, b = ([generator.choice("abc") for _ in range(generator.randrange(12))] for _ in range(2))
        table = Counter()
        for i in range(len(a)):
            for j in range(len(b)):
                longer = max(table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = table[i, j] + 1 if a[i] == b[j] else longer
        assert common_subsequence(a, b) == table[len(a), len(b)]


def test_distinct():
    assert distinct(["发热", "发热"], 1) == 0.5 and distinct(["发热咳", "热咳"], 2) == pytest.approx(2 / 3)
    assert distinct(["热"], 2) == 1


def test_length_repetition_and_end_rate():
    assert length(["体温37.5度", ""]) == (4 + 0) / 2
    # 咳嗽咳嗽咳嗽: three 4-grams, the first and the last alike; 头痛 has none
    assert repetition(["咳嗽咳嗽咳嗽", "头痛"]) == pytest.approx((1 / 3 + 0) / 2)
    assert repetition([]) == 0
    assert end_rate(["stop", "length", "stop", "stop"]) == 0.75 and end_rate([]) == 0
