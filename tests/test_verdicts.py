"""The length-controlled win rate against a search without calculus, and agreement with people, by hand."""
import math

import numpy as np
import pytest

from clinicalgpt.evaluation import verdicts
from clinicalgpt.evaluation.verdicts import (
    agreement,
    kappa,
    length_controlled,
    rate_at_equal_length,
    read_labels,
)


def lowest(f, low, high):
    """Where a convex function is lowest, by ternary search."""
    for _ in range(80):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return (low + high) / 2


def searched(points, differences):
    """The formula of verdicts.py in plain numbers: the lowest loss over theta of the lowest over phi."""
    mean = sum(differences) / len(differences)
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / len(differences))
    z = [math.tanh(d / spread) if spread else 0.0 for d in differences]

    def loss(theta, phi):
        total = verdicts.RIDGE / 2 * phi**2
        for y, x in zip(points, z, strict=True):
            p = 1 / (1 + math.exp(-theta - phi * x))
            total -= y * math.log(p) + (1 - y) * math.log(1 - p)
        return total

    def best_phi(theta):
        return lowest(lambda phi: loss(theta, phi), -12, 12)
    return 1 / (1 + math.exp(-lowest(lambda theta: loss(theta, best_phi(theta)), -12, 12)))


@pytest.mark.parametrize(("points", "differences"), [
    ([1, 0, 1, 0.5, 0, 1], [30, -10, 5, 0, 12, 100]), ([1, 1, 1, 0], [1, 2, 3, -4]),        # separable
    ([0, 0, 1, 0.5], [7, 7, 7, 7]), ([1, 0, 0, 0, 0], [-500, 3, 2, 1, 4])])
def test_newton_finds_what_a_search_finds(points, differences):
    expected = searched(points, differences)
    found = rate_at_equal_length(np.array(points, dtype=float), np.array(differences, dtype=float))
    assert found == pytest.approx(expected, abs=1e-6)


def many(count, wins, longer):
    """`count` pairs whose A wins `wins` times, and is longer by so many characters."""
    return ["win"] * wins + ["lose"] * (count - wins), ["x" * (10 + longer)] * count, ["x" * 10] * count


def test_length_control_by_hand():
    """9 of 10 won where A is longer by 5, 5 of 10 where it is shorter by 5: at equal length the log-odds are
    the mean of log 9 and log 1, which is log 3: a rate of 3/4, where 7/10 were won."""
    columns = [long + short for long, short in zip(many(20_000, 18_000, 5), many(20_000, 10_000, -5))]
    outcomes, answers_a, answers_b = columns
    rate, low, high = length_controlled(*(column[::1000] for column in columns))
    assert low < rate < high
    points = np.array([outcome == "win" for outcome in outcomes], dtype=float)
    differences = np.array([len(a) - len(b) for a, b in zip(answers_a, answers_b)], dtype=float)
    assert rate_at_equal_length(points, differences) == pytest.approx(3 / 4, abs=1e-4)
    assert rate_at_equal_length(1 - points, -differences) == pytest.approx(1 / 4, abs=1e-4)   # turned round
    assert points.mean() == pytest.approx(0.7)


def test_length_control_at_its_edges():
    assert length_controlled(["win"] * 3, ["aa"] * 3, ["b"] * 3) == (1, 1, 1)
    assert length_controlled(["tie"] * 3, ["aa", "a", "aaa"], ["b"] * 3) == (0.5, 0.5, 0.5)
    assert length_controlled(["failed", "unparsed", "unjudged"], ["a"] * 3, ["b"] * 3) == (0.5, 0, 1)
    same = length_controlled(["win", "win", "win", "lose", "failed"], ["aa"] * 5, ["bb"] * 5)
    assert same[0] == pytest.approx(3 / 4)             # equal lengths: nothing to control, failed left out


def test_newton_ends_where_the_slope_of_the_loss_is_zero():
    """Lopsided, separable and heavy-tailed pairs: sum_N (y - p) = 0 at the rate, for the phi that the ridge
    sets, RIDGE phi = sum_N (y - p) z."""
    generator = np.random.default_rng(0)
    for _ in range(300):
        n = int(generator.choice([2, 5, 40, 400]))
        points = generator.choice([0, 0.5, 1], n, p=[0.03, 0.02, 0.95])
        differences = np.round(generator.standard_cauchy(n) * 100 + 100 * points * generator.integers(2))
        if len(set(points)) == 1:
            continue
        with np.errstate(all="raise"):
            rate = rate_at_equal_length(points, differences)
        theta, z = math.log(rate / (1 - rate)), np.tanh(differences / (differences.std() or math.inf))
        low, high = -n / verdicts.RIDGE, n / verdicts.RIDGE
        for _ in range(100):                           # the phi of this theta: its equation falls in phi
            phi = (low + high) / 2
            p = 1 / (1 + np.exp(np.clip(-theta - phi * z, -500, 500)))
            low, high = (phi, high) if ((points - p) * z).sum() > verdicts.RIDGE * phi else (low, phi)
        assert abs((points - p).sum()) < 1e-6


def test_the_check_of_length_control_has_teeth(monkeypatch):
    monkeypatch.setattr(verdicts.np, "tanh", np.zeros_like)          # lengths forgotten: the plain win rate
    with pytest.raises(AssertionError):
        test_length_control_by_hand()


# ---- people ----------------------------------------------------------------------------------------------

def label(name, verdict, a="x", b="y"):
    return {"id": name, "model_a": a, "model_b": b, "verdict": verdict}


def test_agreement_by_hand(jsonl):
    """The judge and people on ten pairs: both A 4, both B 2, both tie 1, A and B 2, B and tie 1: raw is 7/10;
    people say A 6, B 3, tie 1, the judge A 4, B 4, tie 2: chance is (6 4 + 3 4 + 1 2) / 100."""
    said = [("A", "win")] * 4 + [("B", "lose")] * 2 + [("tie", "tie")] + [("A", "lose")] * 2 + [("B", "tie")]
    records = [label(str(i), verdict) for i, (verdict, _) in enumerate(said)]
    outcomes = {(str(i), "x", "y"): outcome for i, (_, outcome) in enumerate(said)}
    records += [label("f", "A"), label("u", "B"), label("none", "A"), label("0", "A", a="z")]
    outcomes |= {("f", "x", "y"): "failed", ("u", "x", "y"): "unparsed"}
    labels = read_labels(jsonl(*records))
    result = agreement(labels, outcomes)
    assert (result["compared"], result["without_verdict"], result["not_judged"]) == (10, 2, 2)
    assert result["raw"][0] == 0.7 and result["kappa"][0] == pytest.approx((0.7 - 0.38) / (1 - 0.38))
    for value, low, high in (result["raw"], result["kappa"]):
        assert low < value < high
    turned = {(name, b, a): {"win": "lose", "lose": "win"}.get(o, o) for (name, a, b), o in outcomes.items()}
    assert agreement(labels, turned) == result


def test_kappa_at_its_edges():
    assert kappa(np.array([[0, 0], [2, 2]])) == 1 and kappa(np.array([[0, 2], [2, 0]])) == -1
    assert kappa(np.array([[0, 0], [0, 0]])) == 0      # all A: nothing is shown
    assert agreement({("1", "x", "y"): "A"}, {})["compared"] == 0


@pytest.mark.parametrize(("lines", "says"), [
    ([label("1", "A"), label("2", "win")], ":2: verdict 'win'; write A, B or tie"),
    ([label("1", "A"), label("1", "B", "y", "x")], ":2: id '1' with y and x is labelled above"),
    ([{"id": "1", "verdict": "A"}], ":1: ('1', None, None) must be"),
    ([label("1", "A", "x", "x")], ":1: ('1', 'x'"), ([label(["1"], "A")], ":1: (['1'], 'x'"),
    ([label("1", ["A"])], ":1: verdict ['A']"), (["{"], ":1: not a JSON"),
])
def test_bad_labels_are_one_clear_line(jsonl, lines, says):
    with pytest.raises(ValueError) as caught:
        read_labels(jsonl(*lines))
    assert says in str(caught.value) and "\n" not in str(caught.value)
