"""
Which of two answers is better?  A judge without a network: it checks facts against a knowledge graph.
(Not here: fluency, advice, what the graph does not say; inflected names: "fevers" is not "fever".)

    stated      tails of the asked relation that an answer names, each once; a denied one ("no fever") is not
    supported   stated, and true of the head;  contradicted: stated, not true;  missing: true, not stated
    score     = 2 supported / (2 supported + contradicted + missing)               this is F1
    score     = -1  if the answer is empty or degenerate: over a quarter of its 4-grams came before in it

A judge is any function judge(record, answer_a, answer_b) -> "A", "B" or "tie"; anything else is no verdict.
Answers are data: this judge only looks names up in them, so no answer can ask for its verdict.
"""
from collections import defaultdict
from typing import NamedTuple

from clinicalgpt.metrics import bootstrap, distinct, rouge_rows, tokens

RELATIONS = ("symptom", "manifestation", "examination", "treatment", "complication", "related_disease",
             "main_use", "indication", "interaction")
MARGIN = 0.05                                          # a tie: less than one fact of eight
DENIALS = {tuple(tokens(words)) for words in (
    "无", "没有", "不会", "不会有", "不会出现", "不会引起", "不会导致", "不伴", "不包括", "不是", "并非",
    "no", "not", "without", "never", "not cause", "not include", "rather than")}
JOINERS = {"、", "或", "和", "及", ",", "or", "and", "nor"}    # a denial reaches over: no fever or cough
SWAPPED = {"A": "B", "B": "A", "tie": "tie"}
POINTS = {"win": 1.0, "tie": 0.5, "lose": 0.0}


class Facts(NamedTuple):
    supported: set
    contradicted: set
    missing: set


class GraphJudge:
    """graph has heads(relation) and tails(head, relation).  An alias is read as the disease it names."""

    def __init__(self, graph):
        self.truth, self.vocabulary = defaultdict(set), defaultdict(set)
        self.names = {}                                # tokens -> the name that has them, as first written
        for relation in RELATIONS:
            for head in graph.heads(relation):
                known = {self.name(tail) for tail in graph.tails(head, relation)}
                self.truth[self.name(head), relation] |= known
                self.vocabulary[relation] |= known
        for disease in graph.heads("alias"):
            for alias in graph.tails(disease, "alias"):
                self.names.setdefault(tuple(tokens(alias)), disease)
        self.longest = max(map(len, self.names))

    def name(self, words):
        return self.names.setdefault(tuple(tokens(words)), words)

    def named(self, answer):
        """Names in the answer, left to right, the longest at each place.  Tokens are whole words: there is no
        "fever" in "feverfew", and none in "yellow fever" where the graph knows that."""
        words, start, end, denied = tokens(answer), 0, 0, False
        while start < len(words):
            for stop in range(min(start + self.longest, len(words)), start, -1):
                if name := self.names.get(tuple(words[start:stop])):
                    between = words[end:start]         # since the name before
                    joined = bool(between) and JOINERS.issuperset(between)
                    denied = (denied and joined) or any(tuple(between[-n:]) in DENIALS for n in (1, 2, 3, 4))
                    if not denied:
                        yield name
                    start = end = stop
                    break
            else:
                start += 1

    def facts(self, head, relation, answer):
        true = self.truth[head, relation]
        stated = set(self.named(answer)) & self.vocabulary[relation] - {head}      # no fact of its own
        return Facts(stated & true, stated - true, true - stated)

    def score(self, head, relation, answer):
        if not tokens(answer) or distinct([answer], 4) < 0.75:
            return -1.0
        supported, contradicted, missing = map(len, self.facts(head, relation, answer))
        return 2 * supported / (2 * supported + contradicted + missing)

    def __call__(self, record, answer_a, answer_b):
        """The answer with the higher score, a tie within the margin, None where the graph has no answer."""
        head, relation = record["meta"].get("head", ""), record["meta"].get("relation")
        head = self.names.get(tuple(tokens(head)))
        if (head, relation) not in self.truth:
            return None
        difference = self.score(head, relation, answer_a) - self.score(head, relation, answer_b)
        return "tie" if abs(difference) <= MARGIN else "A" if difference > 0 else "B"


class ReferenceJudge:
    """For questions that no graph knows: the answer nearer to the record's own wins, by ROUGE-L."""

    def __call__(self, record, answer_a, answer_b):
        reference = record["messages"][-1]["content"]
        a, b = (row[2] for row in rouge_rows([answer_a, answer_b], [reference, reference]))
        return "tie" if abs(a - b) <= MARGIN else "A" if a > b else "B"


class ScoreJudge:
    """The answer with the higher score wins;
    scores maps (record id, answer) to a number, a reward model's, say."""

    def __init__(self, scores):
        self.scores = scores

    def __call__(self, record, answer_a, answer_b):
        difference = self.scores[record["id"], answer_a] - self.scores[record["id"], answer_b]
        return "tie" if difference == 0 else "A" if difference > 0 else "B"


def judge_pairs(judge, records, answers_a, answers_b):
    """How answers_a fare against answers_b.  A win or a loss has to be confirmed in the other order, else the
    pair is a tie, and a flip.  A pair without a verdict is a class of its own, and no tie.
    win_rate is (win + tie / 2) / judged; low and high, its bootstrap interval over the questions."""
    outcomes, flips = [], 0
    for record, a, b in zip(records, answers_a, answers_b, strict=True):
        first, second = judge(record, a, b), SWAPPED.get(judge(record, b, a))
        if first not in SWAPPED or second is None:
            outcomes.append("unjudged")
        else:
            outcomes.append({"A": "win", "B": "lose"}.get(first, "tie") if first == second else "tie")
            flips += first != second
    points = [POINTS[outcome] for outcome in outcomes if outcome in POINTS]
    low, high = bootstrap(lambda drawn: drawn.mean(), points) if points else (0.0, 1.0)
    return {**{name: outcomes.count(name) for name in (*POINTS, "unjudged")},
            "win_rate": sum(points) / len(points) if points else 0.5, "low": low, "high": high,
            "flip_rate": flips / max(len(points), 1), "outcomes": outcomes}
