"""
Rewards that are rules: what can be checked without a model.
(Not here: the reward model, see reward.py; the sum of the parts, see roles.py.)

    facts        an answer's facts against a knowledge graph: F1, -1 for a degenerate answer (judge.py)
    exam         1 if the answer, read strictly, is the right option, else 0
    diagnosis    1 if it is the record's diagnosis or an alias of it, else 0
    length       tokens of the answer, in hundreds: with a negative weight, a price

A rule is rule(record, text) -> a number, or nan where the record says nothing that it could check.
"""

import math

from clinicalgpt.judge import GraphJudge
from clinicalgpt.metrics import tokens


def facts_rule(graph):
    judge = GraphJudge(graph)

    def facts(record, text):
        meta = record.get("meta", {})
        question = judge.names.get(tuple(tokens(str(meta.get("head", ""))))), meta.get("relation")
        return judge.score(*question, text) if question in judge.truth else math.nan
    return facts


def length(record, text):
    return len(tokens(text)) / 100


RULES = {"length": length}


def rules_of(words, graph=None):
    """{part: (weight, rule)} of words such as "model=1" "facts=0.5"; the model's rule is None."""
    rules = {}
    for word in words:
        name, _, weight = word.partition("=")
        try:
            weight = float(weight)
        except ValueError:
            raise ValueError(f"--rewards {word}: write part=weight, such as model=1") from None
        if name in rules or name not in ("model", "facts", *RULES):
            raise ValueError(f"--rewards {word}: parts are model, facts, {', '.join(RULES)}, each once")
        if name == "facts" and graph is None:
            raise ValueError("--rewards facts: needs a knowledge graph; --graph FILE names one")
        rules[name] = weight, facts_rule(graph) if name == "facts" else RULES.get(name)
    return rules
