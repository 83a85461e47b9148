"""Metrics: worked examples by hand, and the mistakes that each example catches."""
import math
import random
from collections import Counter

import numpy as np
import pytest

from clinicalgpt import metrics
from clinicalgpt.metrics import (
    accuracy,
    bleu,
    bleu_rows,
    bootstrap,
    common_subsequence,
    corpus_bleu,
    distinct,
    gleu,
    rouge,
    sentence_bleu,
    tokens,
    wilson,
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


def test_sentence_bleu_smooths_the_orders_without_a_match():
    # 3-grams 0 of 2 become (1/2) / 2, 4-grams 0 of 1 become (1/4) / 1
    expected = math.exp(1 - 6 / 4) * (1 * 2 / 3 * 1 / 4 * 1 / 4) ** 0.25
    assert sentence_bleu(SHORT, LONG) == pytest.approx(expected)
    assert sentence_bleu("头痛", LONG) == 0


def test_gleu():
    # matches 4 + 2; n-grams of the answer 4+3+2+1 = 10, of the reference 6+5+4+3 = 18
    assert gleu([SHORT], [LONG]) == gleu([LONG], [SHORT]) == pytest.approx(6 / 18)
    assert gleu([SHORT, "头痛"], [LONG, "头痛"]) == pytest.approx((6 + 3) / (18 + 3))
    assert gleu([SHORT], [["头", LONG]]) == pytest.approx(6 / 18)


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


def test_distinct_and_accuracy():
    assert distinct(["发热", "发热"], 1) == 0.5 and distinct(["发热咳", "热咳"], 2) == pytest.approx(2 / 3)
    assert distinct(["热"], 2) == 1
    assert accuracy(["A", None, "C"], ["A", "B", "C"]) == pytest.approx(2 / 3)


def test_wilson():
    """81 of 263 is the worked example of Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson(81, 263, z=1.959964) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1 and wilson(0, 0) == (0, 1)


def test_bootstrap():
    right = np.arange(200) % 2
    low, high = bootstrap(np.mean, right)
    half = 1.96 * math.sqrt(0.25 / 200)                                             # the normal approximation
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.01)
    assert (low, high) == bootstrap(np.mean, right)                                 # the seed decides
    paired = bootstrap(lambda a, b: a.mean() - b.mean(), right + 0.25, right)       # the same items of both
    assert paired == pytest.approx((0.25, 0.25))
    rows = bleu_rows([SHORT, LONG] * 10, [LONG, LONG] * 10)
    low, high = bootstrap(corpus_bleu, rows, rounds=100)
    assert low < corpus_bleu(rows) < high
