"""Rewards that are rules: numbers by hand, and what is said of wrong --rewards."""
import math

import pytest

from clinicalgpt.rules import RULES, facts_rule, rules_of
from data.knowledge_graph import Graph, Triple

FLU = "发热 咳嗽 头痛 乏力".split()
GRAPH = Graph([Triple("流感", "disease", "symptom", tail, "symptom") for tail in FLU]
              + [Triple("贫血", "disease", "symptom", "头晕", "symptom"),
                 Triple("流感", "disease", "alias", "流行性感冒", "disease"),
                 Triple("Gout", "disease", "symptom", "swollen toe", "symptom"),
                 Triple("Gout", "disease", "cause", "uric acid", "cause")])


def asked(head, relation="symptom"):
    return {"meta": {"head": head, "relation": relation}}


@pytest.mark.parametrize(("record", "text", "value"), [
    (asked("流感"), "流感的症状有发热、咳嗽、头痛、乏力。", 1.0),
    (asked("流行性感冒"), "发热、咳嗽。", 2 * 2 / (2 * 2 + 0 + 2)),    # an alias; two are missing
    (asked("流感"), "发热、头晕。", 2 * 1 / (2 * 1 + 1 + 3)),    # one right, one wrong, three missing
    (asked("流感"), "没有发热。", 0.0), (asked("流感"), "请去医院。", 0.0), (asked("流感"), "", -1.0),
    (asked("流感"), "发热" * 20, -1.0),                                   # degenerate
    (asked("gout"), "Gout shows a Swollen Toe.", 1.0),
    (asked("Gout", "cause"), "uric acid", math.nan),                      # none of the nine relations
    (asked("麻疹"), "发热", math.nan), (asked(None, ["symptom"]), "发热", math.nan),
    ({"meta": {}}, "发热", math.nan), ({}, "发热", math.nan),
])
def test_facts(record, text, value):
    assert facts_rule(GRAPH)(record, text) == pytest.approx(value, nan_ok=True)


OPTIONS = {"A": "阿司匹林", "B": "布洛芬", "C": "青霉素"}
ONE, TWO = ({"meta": {"options": OPTIONS, "answer": answer}} for answer in ("B", "AC"))


@pytest.mark.parametrize(("record", "text", "value"), [
    (ONE, "答案：布洛芬（B）", 1.0), (ONE, "故选B。", 1.0), (ONE, "布洛芬", 1.0), (ONE, "答案：A", 0.0),
    (ONE, "答案：阿司匹林（B）", 0.0), (ONE, "A或B", 0.0), (ONE, "", 0.0),
    (ONE, "A. 阿司匹林\nB. 布洛芬", 0.0), (TWO, "答案：A、C", 1.0), (TWO, "答案：A", 0.0),
    (TWO, "答案：A、B、C", 0.0),
    ({"meta": {"options": ["甲"], "answer": "A"}}, "A", math.nan),
    ({"meta": {"options": OPTIONS, "answer": ""}}, "", math.nan),
    ({"meta": {"options": OPTIONS}}, "B", math.nan), ({"meta": {"answer": "B"}}, "B", math.nan),
    ({"meta": {"label": "流感"}}, "B", math.nan), ({}, "B", math.nan),
])
def test_exam(record, text, value):
    assert RULES["exam"](record, text) == pytest.approx(value, nan_ok=True)


PNEUMONIA = {"meta": {"label": "社区获得性肺炎", "aliases": ["CAP"]}}


@pytest.mark.parametrize(("record", "text", "value"), [
    (PNEUMONIA, "诊断：社区获得性肺炎", 1.0), (PNEUMONIA, "诊断：CAP。", 1.0), (PNEUMONIA, "诊断：肺炎", 0.0),
    (PNEUMONIA, "诊断：社区获得性肺炎；支气管哮喘", 0.0), (PNEUMONIA, "无法诊断，请就医。", 0.0),
    (PNEUMONIA, "", 0.0), ({"meta": {"label": "Gout"}}, "The most likely diagnosis is gout.", 1.0),
    ({"meta": {"aliases": ["CAP"]}}, "CAP", math.nan), ({}, "CAP", math.nan),
])
def test_diagnosis(record, text, value):
    assert RULES["diagnosis"](record, text) == pytest.approx(value, nan_ok=True)


def test_length():
    """体 温 37.5 度 , b12 are six tokens."""
    assert RULES["length"]({}, "体温37.5度,B12") == 0.06 and RULES["length"]({}, "") == 0


def test_parts_and_weights():
    rules = rules_of(("model=1", "facts=0.5", "length=-2"), GRAPH)
    assert list(rules) == ["model", "facts", "length"]
    assert [weight for weight, _ in rules.values()] == [1.0, 0.5, -2.0]
    assert rules["model"][1] is None and rules["length"][1] is RULES["length"]
    assert rules["facts"][1](asked("贫血"), "头晕") == 1.0 and rules_of(("exam=0",))["exam"][0] == 0


@pytest.mark.parametrize(("words", "message"), [
    (["facts"], "--rewards facts: write part=weight, such as model=1"),
    (["model=much"], "--rewards model=much: write part=weight, such as model=1"),
    (["model=nan"], "--rewards model=nan: write part=weight, such as model=1"),
    (["length=-inf"], "--rewards length=-inf: write part=weight, such as model=1"),
    (["style=1"], "--rewards style=1: parts are model, facts, exam, diagnosis, length, each once"),
    (["=1"], "--rewards =1: parts are model, facts, exam, diagnosis, length, each once"),
    (["exam=1", "exam=2"], "--rewards exam=2: parts are model, facts, exam, diagnosis, length, each once"),
    (["facts=1"], "--rewards facts: needs a knowledge graph; --graph FILE names one"),
])
def test_wrong_rewards_are_one_line(words, message):
    with pytest.raises(ValueError) as error:
        rules_of(words)
    assert str(error.value) == message


def test_a_graph_without_the_relations():
    """A graph that knows causes only cannot check anything."""
    with pytest.raises(ValueError, match="--graph: holds no fact of the relations that are checked"):
        rules_of(["facts=1"], Graph([Triple("Gout", "disease", "cause", "uric acid", "cause")]))
