"""
How sure we are of a number, and of which of two models is better.  (Not here: the metrics themselves.)

    wilson, interval     one number: a proportion; a ratio or BLEU, by bootstrap
    difference, mcnemar  two models on the same items, with p of "there is no difference"
    compared             all metrics of all models of a task, from one drawing
    holm, winners        many such comparisons in one table: what may be marked best
    over_seeds           several trainings: the spread over seeds, apart from the spread over items

A table holds what a metric sums, a row an item: [right, 1] or [F1, 1] for a mean, h, r, m_1 ... for BLEU.
A statistic takes summed rows (..., K) to numbers (...), as `ratio` and metrics.bleu_of do, so that one call
answers for all rounds.  Items of one patient or dialogue are a cluster and are drawn together, since one says
much about the next; a round draws C of C clusters with replacement, the same of every model.

Letters: I items, C clusters, K columns, R rounds, S seeds, M models.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

ROUNDS, LEVEL = 10_000, 0.05
DRAWN_TOGETHER = 1 << 22                               # clusters, so that memory stays flat


class Difference(NamedTuple):
    value: float
    low: float
    high: float
    p: float


def wilson(successes, n, z=1.96):
    """Interval of a proportion (Wilson 1927), inside [0, 1] even for 0 or n successes: it solves
    |p - q| = z sqrt(q (1 - q) / n) for q."""
    if n == 0:
        return 0.0, 1.0
    p, scale = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap(statistic, *columns, rounds=1000, seed=0):
    """95 % percentile interval of statistic(*columns), any function of whole columns: the plain form of
    `interval`, a round at a time, items and no clusters.

        bootstrap(corpus_bleu, bleu_rows(hypotheses, references))
    """
    columns, generator, values = [np.asarray(column) for column in columns], np.random.default_rng(seed), []
    for _ in range(rounds):
        drawn = generator.integers(len(columns[0]), size=len(columns[0]))
        values.append(statistic(*(column[drawn] for column in columns)))
    return tuple(np.percentile(values, [2.5, 97.5]).tolist())


def ratio(sums):
    """Column 0 over column 1: a mean where column 1 counts items."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-300)


def by_cluster(table_IK, clusters):
    """The rows of each cluster summed, in order of appearance; clusters: a label an item, or None."""
    table_IK = np.asarray(table_IK, dtype=float)
    if clusters is None:
        return table_IK
    place = {}
    index_I = [place.setdefault(label, len(place)) for label in clusters]
    sums_CK = np.zeros((len(place), table_IK.shape[1]))
    np.add.at(sums_CK, index_I, table_IK)
    return sums_CK


def resampled(statistic, tables, clusters=None, rounds=ROUNDS, seed=0):
    """The statistic of each table in each round, (M, R); all tables see the same clusters drawn."""
    sums_MCK = np.stack([by_cluster(table_IK, clusters) for table_IK in tables])
    C, generator, values = sums_MCK.shape[1], np.random.default_rng(seed), []
    step = max(1, DRAWN_TOGETHER // max(C, 1))
    for start in range(0, rounds, step):
        R = min(step, rounds - start)
        drawn_RC = generator.integers(C, size=(R, C)) + C * np.arange(R)[:, None]
        times_RC = np.bincount(drawn_RC.ravel(), minlength=R * C).reshape(R, C)
        values.append(statistic(times_RC.astype(float) @ sums_MCK))
    return np.concatenate(values, axis=1)


def interval(statistic, table_IK, clusters=None, rounds=ROUNDS, seed=0):
    """(value, low, high), a 95 % percentile interval (Efron 1979); (value,) for a single cluster, of whose
    spread nothing is known."""
    sums_CK = by_cluster(table_IK, clusters)
    value = float(statistic(sums_CK.sum(0)))
    if len(sums_CK) < 2:
        return (value,)
    values_R = resampled(statistic, [sums_CK], None, rounds, seed)[0]
    return value, *np.percentile(values_R, [2.5, 97.5]).tolist()


def difference(statistic, table_a, table_b, clusters=None, rounds=ROUNDS, seed=0):
    """statistic(a) - statistic(b) with its paired 95 % interval, and p = 2 min(P(d <= 0), P(d >= 0)) over the
    rounds, the observed one counted among them (Davison & Hinkley 1997, section 4.2): p < 0.05 says that the
    interval excludes 0, and p < level that the interval at that level does."""
    a_CK, b_CK = by_cluster(table_a, clusters), by_cluster(table_b, clusters)
    value = float(statistic(a_CK.sum(0)) - statistic(b_CK.sum(0)))
    if len(a_CK) < 2:
        return Difference(value, -math.inf, math.inf, 1.0)
    a_R, b_R = resampled(statistic, [a_CK, b_CK], None, rounds, seed)
    low, high = np.percentile(a_R - b_R, [2.5, 97.5]).tolist()
    return Difference(value, low, high, p_of(a_R - b_R))


def p_of(difference_R):
    tail = min((difference_R <= 0).sum(), (difference_R >= 0).sum())
    return min(1.0, 2 * (int(tail) + 1) / (len(difference_R) + 1))


def compared(tables, statistics, clusters=None, rounds=ROUNDS, seed=0):
    """({metric: {model: as of `interval`}}, {metric: {(model, other): p as of `difference`}}), the drawing
    done once.  tables: {model: {metric: its table}}, a model may lack some; statistics: {metric: its own}."""
    owners = {metric: tuple(model for model in tables if metric in tables[model]) for metric in statistics}
    numbers, p_values = {metric: {} for metric in statistics}, {metric: {} for metric in statistics}
    for models in filter(None, dict.fromkeys(owners.values())):
        metrics = [metric for metric in statistics if owners[metric] == models]
        ends = np.cumsum([0, *(np.shape(tables[models[0]][metric])[1] for metric in metrics)])

        def each(sums, metrics=metrics, ends=ends):
            return np.stack([statistics[metric](sums[..., ends[j]:ends[j + 1]])
                             for j, metric in enumerate(metrics)], -1)
        sums_MCK = [by_cluster(np.hstack([tables[model][metric] for metric in metrics]), clusters)
                    for model in models]
        values_MJ, several = each(np.stack(sums_MCK).sum(1)), len(sums_MCK[0]) > 1
        values_MRJ = resampled(each, sums_MCK, None, rounds, seed) if several else None
        for j, metric in enumerate(metrics):
            for m, model in enumerate(models):
                bounds = np.percentile(values_MRJ[m, :, j], [2.5, 97.5]).tolist() if several else ()
                numbers[metric][model] = float(values_MJ[m, j]), *bounds
            for (m, a), (n, b) in itertools.combinations(enumerate(models), 2):
                p_values[metric][a, b] = p_of(values_MRJ[m, :, j] - values_MRJ[n, :, j]) if several else 1.0
    return numbers, p_values


def mcnemar(right_a, right_b):
    """(only a right, only b right, p): McNemar 1947, exact and two-sided.  Each of the n questions that one
    model alone has right is a's or b's like a coin: p = min(1, 2 sum_{k <= min(a, b)} C(n, k) / 2^n)."""
    only_a = sum(bool(a) and not b for a, b in zip(right_a, right_b, strict=True))
    only_b = sum(bool(b) and not a for a, b in zip(right_a, right_b, strict=True))
    n, term, total = only_a + only_b, 1, 0
    for k in range(min(only_a, only_b) + 1):
        total += term
        term = term * (n - k) // (k + 1)               # C(n, k + 1), in whole numbers
    return only_a, only_b, min(1.0, 2 * total / 2**n)


def holm(p_values):
    """Adjusted p of a family of m tests (Holm 1979): of the i-th smallest, the largest (m - j + 1) p_j for
    j <= i, at most 1.  All below 0.05 together are false with probability 0.05 at most."""
    order, adjusted, most = np.argsort(p_values, kind="stable"), [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = most
    return adjusted


def winners(values, p_values, level=LEVEL):
    """{row: the model to mark as best, or None}.
    values: {row: {model: number, higher is better}};  p_values: {row: {(model, other): p}} of every two.

    Holm's correction is over every pair of every row given: over categories, if a row is a category.  Best is
    who is higher than each other model at the level.  All pairs are in the family, not only those with the
    highest: who is highest was not known before."""
    tests = [(row, frozenset(pair), p) for row, pairs in p_values.items() for pair, p in pairs.items()]
    adjusted = {test[:2]: p for test, p in zip(tests, holm([p for *_, p in tests]))}
    best = {}
    for row, of_model in values.items():
        first = max(of_model, key=of_model.get)
        sure = [adjusted[row, frozenset((first, other))] < level and of_model[first] > of_model[other]
                for other in of_model if other != first]
        best[row] = first if sure and all(sure) else None
    return best


def over_seeds(values_SI):
    """(mean, standard deviation over seeds, standard error over items); values_SI: a row a training, a column
    an item.  The first spread says what another training would give, the second, what other items would; a
    single training has no first (None).

        deviation = sqrt(sum_s (x_s - x)^2 / (S - 1)),   x_s: mean of the s-th training
        error     = sqrt(sum_i (y_i - x)^2 / (I - 1) / I),   y_i: mean over trainings of the i-th item
    """
    values_SI = np.asarray(values_SI, dtype=float)
    S, I = values_SI.shape                             # noqa: E741
    deviation = float(values_SI.mean(1).std(ddof=1)) if S > 1 else None
    error = float(values_SI.mean(0).std(ddof=1) / math.sqrt(I)) if I > 1 else None
    return float(values_SI.mean()), deviation, error
