"""Statistics: against every case counted, numbers worked by hand, and how often intervals are right."""
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from clinicalgpt import statistics
from clinicalgpt.metrics import bleu_of, bleu_rows, corpus_bleu
from clinicalgpt.statistics import (
    bootstrap,
    by_cluster,
    compared,
    difference,
    holm,
    interval,
    mcnemar,
    over_seeds,
    ratio,
    resampled,
    wilson,
    winners,
)


def table(values):
    return np.stack([np.asarray(values, float), np.ones(len(values))], 1)


# ---- one number

def test_wilson():
    """81 of 263 is the worked example of Newcombe 1998, table I: 0.2553 to 0.3662."""
    assert wilson(81, 263, z=1.959964) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1 and wilson(0, 0) == (0, 1)


def covered(interval_of, n, q):
    """Probability that the interval of k of n holds q: over all k, weighted by the binomial."""
    return sum(math.comb(n, k) * q**k * (1 - q)**(n - k) for k in range(n + 1)
               if interval_of(k, n)[0] <= q <= interval_of(k, n)[1])


def test_wilson_holds_the_truth_where_the_normal_interval_does_not():
    def normal(k, n):
        half = 1.96 * math.sqrt(k / n * (1 - k / n) / n)
        return k / n - half, k / n + half
    grid = np.linspace(0.02, 0.98, 49)
    wilsons, normals = ([covered(of, 100, q) for q in grid] for of in (wilson, normal))
    assert np.mean(wilsons) == pytest.approx(0.95, abs=0.005) and min(wilsons) > 0.91
    assert min(normals) < 0.88                                                        # the check has teeth


def test_bootstrap():
    right = np.arange(200) % 2
    low, high = bootstrap(np.mean, right)
    half = 1.96 * math.sqrt(0.25 / 200)                                             # the normal approximation
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=0.01)
    assert (low, high) == bootstrap(np.mean, right)                                   # the seed decides
    paired = bootstrap(lambda a, b: a.mean() - b.mean(), right + 0.25, right)         # the same items of both
    assert paired == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("together", [1, 1000, 1 << 22])
def test_all_rounds_at_once_equal_a_round_at_a_time(monkeypatch, together):
    monkeypatch.setattr(statistics, "DRAWN_TOGETHER", together)
    texts = ["患者发热", "咳嗽三天", "无发热", "头痛"] * 5
    rows = bleu_rows(texts, texts[1:] + texts[:1], 2)
    value, low, high = interval(bleu_of, rows, rounds=200, seed=3)
    assert value == corpus_bleu(rows)
    assert (low, high) == pytest.approx(bootstrap(corpus_bleu, rows, rounds=200, seed=3), abs=1e-12)


def test_resampling_equals_all_27_ways_to_draw():
    """Of 3 clusters, {1, 2}, {6}, {0}: every draw of 3 is as likely; their ratios are counted."""
    clusters, values = ["x", "x", "y", "z"], [1, 2, 6, 0]
    sums = [(3, 2), (6, 1), (0, 1)]
    exact = [Fraction(sum(sums[i][0] for i in drawn), sum(sums[i][1] for i in drawn))
             for drawn in itertools.product(range(3), repeat=3)]
    drawn_R = resampled(ratio, [table(values)], clusters, rounds=100_000)[0]
    for value in set(exact):
        share = np.isclose(drawn_R, float(value)).mean()
        assert share == pytest.approx(exact.count(value) / 27, abs=0.005), value
    assert np.isclose(drawn_R[:, None], [float(value) for value in set(exact)]).any(1).all()


def test_clusters_are_drawn_whole():
    assert by_cluster(table([1, 2, 6, 0]), ["x", "y", "x", "y"]).tolist() == [[7, 2], [2, 2]]
    # ten turns of each of 20 dialogues, all alike: 200 items know no more than 20
    values = np.repeat(np.arange(20) % 2, 10)
    _, low, high = interval(ratio, table(values), np.repeat(np.arange(20), 10))
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 20), abs=0.06)
    _, low, high = interval(ratio, table(values))
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 200), abs=0.02)    # far too sure
    assert interval(ratio, table([1, 0]), ["x", "x"]) == (0.5,)


# ---- two models

def test_difference_is_paired():
    generator = np.random.default_rng(0)
    b = generator.normal(size=300)
    found = difference(ratio, table(b + 0.1), table(b))
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(2 / 10_001)                            # not one round says otherwise
    same = difference(ratio, table(b), table(b))
    assert same == (0, 0, 0, 1)
    one = difference(ratio, table([1, 1]), table([0, 0]), ["x", "x"])
    assert one == (1, -math.inf, math.inf, 1)                              # one patient proves nothing


def rejects(correlated, tests=400, size=40):
    """How often the 95 % interval of the difference of two equal models excludes 0; clusters of 5 items."""
    generator, excluded = np.random.default_rng(1), 0
    for seed in range(tests):
        shared = np.repeat(generator.normal(size=(size, 2)), 5, axis=0)
        a, b = (shared + generator.normal(size=(size * 5, 2))).T
        found = difference(ratio, table(a), table(b),
                           np.repeat(np.arange(size), 5) if correlated else None, rounds=399, seed=seed)
        excluded += not found.low <= 0 <= found.high
        assert found.p >= 0.05 or not found.low <= 0 <= found.high
    return excluded / tests


def test_the_interval_holds_the_truth_as_often_as_it_says():
    assert 0.03 < rejects(True) < 0.09                                     # 0.05, 0.011 its standard error
    assert rejects(False) > 0.2                                            # had we drawn items


def test_mcnemar_equals_every_toss_counted():
    def exact(only_a, only_b):
        n = only_a + only_b
        tosses = [sum(toss) for toss in itertools.product((0, 1), repeat=n)]
        return Fraction(sum(abs(2 * heads - n) >= abs(only_a - only_b) for heads in tosses), 2**n)
    for only_a, only_b, both in itertools.product(range(6), range(6), (0, 3)):
        right_a = [True] * only_a + [False] * only_b + [True] * both
        right_b = [False] * only_a + [True] * only_b + [True] * both
        assert mcnemar(right_a, right_b) == (only_a, only_b, pytest.approx(float(exact(only_a, only_b))))
    # 6 against 1: 2 (1 + 7) / 2^7
    assert mcnemar([1] * 6 + [0], [0] * 6 + [1])[2] == pytest.approx(0.125)
    assert mcnemar([1] * 9000, [0] * 9000)[2] == 0 and mcnemar([1, 0], [1, 0]) == (0, 0, 1)


# ---- a table of them

def test_holm():
    # sorted 0.01, 0.02, 0.03, 0.3: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.3
    assert holm([0.02, 0.3, 0.01, 0.03]) == pytest.approx([0.06, 0.3, 0.04, 0.06])
    assert holm([0.6, 0.9, 0.2]) == pytest.approx([1, 1, 0.6])             # never falls, never above 1
    assert holm([]) == []


def check_holm(holm):
    """Strictly: tests are rejected from the smallest on, until one is above 0.05 / how many are left."""
    generator = np.random.default_rng(0)
    for _ in range(300):
        p_values = (generator.random(6) ** 4).tolist()
        rejected, left = set(), sorted(range(6), key=lambda i: p_values[i])
        while left and p_values[left[0]] < 0.05 / len(left):
            rejected.add(left.pop(0))
        assert {i for i, p in enumerate(holm(p_values)) if p < 0.05} == rejected


def test_holm_equals_stepping_down():
    check_holm(holm)
    for wrong in (lambda p: p, lambda p: [6 * x for x in p]):              # uncorrected; Bonferroni
        with pytest.raises(AssertionError):
            check_holm(wrong)


def test_a_winner_is_above_each_other_model_in_spite_of_all_the_categories():
    values = {"all": {"base": 0.5, "sft": 0.6, "ppo": 0.8}}
    sure = {("base", "sft"): 0.001, ("base", "ppo"): 0.001, ("ppo", "sft"): 0.02}
    assert winners(values, {"all": sure}) == {"all": "ppo"}
    assert winners(values, {"all": sure | {("ppo", "sft"): 0.06}}) == {"all": None}
    # the same with five categories in which nothing happened: 0.02 * (3 + 15 - 2) > 0.05
    nothing = {f"category {i}": dict.fromkeys(sure, 0.9) for i in range(5)}
    both = winners(values | dict.fromkeys(nothing, values["all"]), {"all": sure} | nothing)
    assert both == {"all": None} | dict.fromkeys(nothing)
    assert winners({"all": {"base": 1.0}}, {"all": {}}) == {"all": None}   # none to be better than
    assert winners({"all": {"a": 1.0, "b": 1.0}}, {"all": {("a", "b"): 0.0}}) == {"all": None}


def best_of(tables):
    """The winner in one row, and p of each two."""
    numbers, p_values = compared({model: {"": of} for model, of in tables.items()}, {"": ratio})
    assert p_values[""] == {(a, b): difference(ratio, tables[a], tables[b]).p for a, b in p_values[""]}
    assert all(numbers[""][model] == pytest.approx(interval(ratio, of)) for model, of in tables.items())
    return winners({"": {model: of[0] for model, of in numbers[""].items()}}, p_values)[""], p_values[""]


def test_winner_of_one_row():
    generator = np.random.default_rng(0)
    skill = generator.normal(size=200)
    tables = {"base": table(skill), "sft": table(skill + 0.3), "ppo": table(skill + 0.31)}
    assert best_of(tables)[0] == "ppo"                                      # the same items: 0.01 is enough
    tables["ppo"] = table(generator.permutation(skill) + 0.31)
    best, p_values = best_of(tables)
    assert best is None and p_values["base", "sft"] < 0.001                 # inside the interval


def test_a_winner_among_equals_is_rare():
    """Three models, two categories, no difference: the wrong mark in at most 5 % of tables."""
    generator, marked = np.random.default_rng(2), 0
    for _ in range(300):
        right = generator.random((2, 3, 100)) < 0.6
        p_values = {row: {(a, b): mcnemar(right[row, a], right[row, b])[2]
                          for a, b in itertools.combinations(range(3), 2)} for row in range(2)}
        values = {row: dict(enumerate(right[row].mean(1))) for row in range(2)}
        marked += any(best is not None for best in winners(values, p_values).values())
    assert marked / 300 <= 0.05


def test_spread_over_seeds_and_over_items():
    # means of the trainings 2/3, 1/3, 1: deviation 1/3; of the items 1, 2/3, 1/3: the same, over sqrt(3)
    mean, deviation, error = over_seeds([[1, 1, 0], [1, 0, 0], [1, 1, 1]])
    assert (mean, deviation, error) == pytest.approx((2 / 3, 1 / 3, 1 / 3 / math.sqrt(3)))
    assert over_seeds([[1, 0]]) == (0.5, None, pytest.approx(0.5))
    assert over_seeds([[1], [0]])[2] is None
