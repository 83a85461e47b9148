"""
Rewards that are rules: what can be checked without a model.
(Not here: the reward model, see reward.py; the sum of the parts, see roles.py.)

    facts        an answer's facts against a knowledge graph: F1, -1 for a degenerate answer (judge.py)
    exam         1 if the options that the answer chooses, read strictly (exam.py), are the right ones, else 0
    diagnosis    1 if it names the record's diagnosis or an alias of it, and no other (diagnosis.py), else 0
    length       tokens of the answer, in hundreds: with a negative weight, a price

A rule is rule(record, text) -> a number, or nan where the record says nothing that it could check: facts
want meta's head and relation, as the graph has them, exam its options and answer, diagnosis its label.
"""

import math

from clinicalgpt.diagnosis import outcome
from clinicalgpt.exam import chosen, is_right
from clinicalgpt.judge import RELATIONS, GraphJudge
from clinicalgpt.metrics import tokens


def facts_rule(graph):
    if not any(graph.heads(relation) for relation in RELATIONS):
        raise ValueError(f"--graph: holds no fact of the relations that are checked ({', '.join(RELATIONS)})")
    judge = GraphJudge(graph)

    def facts(record, text):
        place = judge.asked(record)
        return judge.score(*place, text) if place else math.nan
    return facts


def exam(record, text):
    options, answer = (record.get("meta", {}).get(name) for name in ("options", "answer"))
    if not (isinstance(options, dict) and isinstance(answer, str) and answer):
        return math.nan
    return float(is_right(chosen(text, options), answer))


def diagnosis(record, text):
    return float(outcome(text, record) == "right") if record.get("meta", {}).get("label") else math.nan


def length(record, text):
    return len(tokens(text)) / 100


RULES = {"exam": exam, "diagnosis": diagnosis, "length": length}


def rules_of(words, graph=None):
    """{part: (weight, rule)} of words such as "model=1" "facts=0.5"; the model's rule is None."""
    rules = {}
    for word in words:
        name, _, weight = word.partition("=")
        try:
            weight = float(weight)
        except ValueError:
            weight = math.nan
        if not math.isfinite(weight):
            raise ValueError(f"--rewards {word}: write part=weight, such as model=1")
        if name in rules or name not in ("model", "facts", *RULES):
            raise ValueError(f"--rewards {word}: parts are model, facts, {', '.join(RULES)}, each once")
        if name == "facts" and graph is None:
            raise ValueError("--rewards facts: needs a knowledge graph; --graph FILE names one")
        rules[name] = weight, facts_rule(graph) if name == "facts" else RULES.get(name)
    return rules
