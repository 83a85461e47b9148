"""
What many verdicts say together: who wins where answers are equally long, and whether people agree.
(Not here: the judges, and the rule for two orders, see judge.py.)

    p = sigmoid(theta + phi tanh(d / std(d)))    d: characters of A's answer less those of B's
    minimise  -sum_N y log p + (1 - y) log(1 - p)  +  RIDGE / 2 phi^2        y: 1 a win, 1/2 a tie, 0 a loss
    length-controlled win rate = sigmoid(theta), which is p at d = 0         Dubois 2024, section 3

(That paper has a third term, the difficulty of a question.)  Cohen's kappa = (raw - chance) / (1 - chance):
raw is the part of pairs with one verdict, chance what two would agree in who choose blindly at these rates.

    labels    {"id": "7", "model_a": "sft", "model_b": "ppo", "verdict": "A" or "B" or "tie"}    a line each
"""
import numpy as np

from clinicalgpt.files import read_jsonl
from clinicalgpt.judge import OUTCOME, POINTS, SWAPPED
from clinicalgpt.statistics import bootstrap, wilson

RIDGE = 0.1                                            # gives the slope of lengths a bound
LABELS = ("A", "tie", "B")


def length_controlled(outcomes, answers_a, answers_b):
    """(win rate, low, high) where both answers are equally long, from the outcomes of judge_pairs."""
    judged = [(POINTS[outcome], len(a) - len(b))
              for outcome, a, b in zip(outcomes, answers_a, answers_b, strict=True) if outcome in POINTS]
    if not judged:
        return 0.5, 0.0, 1.0
    y_N, d_N = np.array(judged, dtype=float).T
    return rate_at_equal_length(y_N, d_N), *bootstrap(rate_at_equal_length, y_N, d_N)


def rate_at_equal_length(y_N, d_N):
    if (y_N == y_N[0]).all():                          # nothing to explain: theta may be infinite
        return float(y_N[0])
    x_N2 = np.stack([np.ones(len(d_N)), np.tanh(d_N / (d_N.std() or np.inf))], 1)
    ridge_2, weight_2 = np.array([0, RIDGE]), np.zeros(2)
    for _ in range(100):                               # Newton; from 0, with x within 1, its steps fall short
        p_N = 1 / (1 + np.exp(-x_N2 @ weight_2))
        gradient_2 = x_N2.T @ (p_N - y_N) + ridge_2 * weight_2
        step_2 = np.linalg.solve((x_N2.T * (p_N * (1 - p_N))) @ x_N2 + np.diag(ridge_2), gradient_2)
        weight_2 = weight_2 - step_2
        if abs(step_2).max() < 1e-9:
            break
    return float(1 / (1 + np.exp(-weight_2[0])))


def read_labels(path):
    """{(id, model_a, model_b): verdict} of people."""
    labels = {}
    for line, record in read_jsonl(path):
        name, a, b = key = tuple(record.get(field) for field in ("id", "model_a", "model_b"))
        if not all(isinstance(part, (str, int)) for part in key) or a == b:
            raise ValueError(f"{path}:{line}: {key!r} must be 'id' and two models, 'model_a' and 'model_b'")
        name, a, b = key = tuple(map(str, key))
        if record.get("verdict") not in LABELS:
            raise ValueError(f"{path}:{line}: verdict {record.get('verdict')!r}; write A, B or tie")
        if key in labels or (name, b, a) in labels:
            raise ValueError(f"{path}:{line}: id {name!r} with {a} and {b} is labelled above; keep one label")
        labels[key] = record["verdict"]
    return labels


def agreement(labels, outcomes):
    """{"raw": (value, low, high), "kappa": (value, low, high), "compared", "without_verdict", "not_judged"}
    of a judge with people.  outcomes: {(id, model_a, model_b): win, tie, lose or another}, of judge_pairs,
    models in either order."""
    turned, pairs, unknown = {outcome: label for label, outcome in OUTCOME.items()}, [], 0
    for (name, a, b), label in labels.items():
        verdict = turned.get(outcomes.get((name, a, b)))
        if (name, a, b) not in outcomes:
            verdict = SWAPPED.get(turned.get(outcomes.get((name, b, a))))
            unknown += (name, b, a) not in outcomes
        if verdict:
            pairs.append((LABELS.index(label), LABELS.index(verdict)))
    counts = {"compared": len(pairs), "without_verdict": len(labels) - len(pairs) - unknown,
              "not_judged": unknown}
    if not pairs:
        return {"raw": (0.0, 0.0, 1.0), "kappa": (0.0, -1.0, 1.0), **counts}
    pairs_N2 = np.array(pairs)
    same = sum(a == b for a, b in pairs)
    return {"raw": (same / len(pairs), *wilson(same, len(pairs))),
            "kappa": (kappa(pairs_N2), *bootstrap(kappa, pairs_N2)), **counts}


def kappa(pairs_N2):
    """0 where blind choice would agree always: nothing is shown then."""
    raw = (pairs_N2[:, 0] == pairs_N2[:, 1]).mean()
    chance = np.prod([np.bincount(column_N, minlength=3) / len(column_N) for column_N in pairs_N2.T], 0).sum()
    return float((raw - chance) / (1 - chance)) if chance < 1 else 0.0
