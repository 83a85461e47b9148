"""Judges by name, their rows for all pairs of models, people's labels, rubrics; the server is our own."""
import json

import pytest
import torch

from clinicalgpt.answers import Cache, Failure
from clinicalgpt.evaluation.judged import grade_all, judge_all, open_judges, reward_scores
from clinicalgpt.evaluation.verdicts import read_labels
from clinicalgpt.judge import ReferenceJudge
from clinicalgpt.reward import ScalarHead
from clinicalgpt.template import Template, encode_dialogue
from data.knowledge_graph import read_graph
from evaluate import EvalConfig
from tests.reference import tiny_model
from tests.server import Server

RECORDS = [{"id": str(i), "messages": [{"role": "user", "content": "?"},
                                       {"role": "assistant", "content": "fever and cough"}], "meta": {}}
           for i in range(4)]
ANSWERS = {"good": ["fever and cough"] * 4, "bad": ["nothing"] * 4,
           "mixed": ["fever and cough", "nothing", "fever and cough", Failure("timed out")]}


def rows_by(answers, labels=None, judge=None):
    rows, judgements, people = judge_all("reference", judge or ReferenceJudge(), RECORDS, answers, labels)
    return {row["metric"]: row["models"] for row in rows}, judgements, people


def test_rows_by_hand():
    """good beats bad four times; mixed ties with good twice, loses once, and once there was no answer."""
    rows, judgements, _ = rows_by(ANSWERS)
    assert rows["win / tie / lose against bad"] == {"good": {"value": "4 / 0 / 0"},
                                                    "mixed": {"value": "2 / 1 / 0"}}
    assert rows["win / tie / lose against good"]["mixed"]["value"] == "0 / 2 / 1"
    assert rows["unjudged / unparsed / failed against good"]["mixed"]["value"] == "0 / 0 / 1"
    assert rows["win rate against good"]["mixed"]["value"] == round((0 + 2 / 2) / 3, 4)
    assert rows["order flips against good"]["bad"]["value"] == 0
    assert len(judgements) == 3 * 4 and judgements[0] == {
        "judge": "reference", "id": "0", "model_a": "good", "model_b": "bad", "outcome": "win"}


def check_mirrors(rows):
    for a, b in (("good", "bad"), ("good", "mixed"), ("bad", "mixed")):
        one, other = rows[f"win rate against {b}"][a], rows[f"win rate against {a}"][b]
        assert one["value"] + other["value"] == pytest.approx(1, abs=2e-4)
        assert one["low"] + other["high"] == pytest.approx(1, abs=2e-4)
        assert rows[f"win / tie / lose against {b}"][a]["value"].split(" / ")[::-1] == \
            rows[f"win / tie / lose against {a}"][b]["value"].split(" / ")


def test_verdicts_are_symmetric_and_a_lone_model_is_not_judged():
    check_mirrors(rows_by(ANSWERS)[0])
    assert judge_all("reference", ReferenceJudge(), RECORDS, {"a": ["x"] * 4}, None) == ([], [], None)


def test_the_check_of_symmetry_has_teeth(monkeypatch):
    monkeypatch.setattr("clinicalgpt.evaluation.judged.mirrored", lambda verdict: verdict)
    with pytest.raises(AssertionError):
        check_mirrors(rows_by(ANSWERS)[0])


def test_people_are_compared_with_the_judge(jsonl):
    labels = read_labels(jsonl(*({"id": name, "model_a": "bad", "model_b": "good", "verdict": verdict}
                                 for name, verdict in ((0, "B"), ("1", "B"), ("2", "A"), ("9", "A")))))
    people = rows_by(ANSWERS, labels)[2]
    assert people["raw"][0] == 2 / 3 and people["compared"] == 3 and people["not_judged"] == 1


GRAPH = "influenza\tdisease\tsymptom\tfever\tsymptom\n"


@pytest.mark.parametrize(("flags", "says"), [
    ({"judge": "facts"}, "--judge facts: needs a knowledge graph"),
    ({"judge": "all-facts"}, "--judge all-facts: needs a knowledge graph"),
    ({"judge": "reward"}, "--judge reward: needs a reward model"),
    ({"judge": "taste"}, "--judge taste: choose facts"),
    ({"judge": "reference,reference"}, "two judges are called reference"),
    ({"judge": "http://host/v1"}, "needs a name"), ({"judge": "http://me@host/v1#m"}, "URL must be")])
def test_what_cannot_judge_is_one_clear_line(flags, says):
    if says == "needs a name":
        says = "name the model"
    with pytest.raises(ValueError, match=says):
        open_judges(EvalConfig(**flags), None, None)


def test_judges_by_default(tmp_path):
    (tmp_path / "graph.tsv").write_text(GRAPH)
    graph = read_graph(tmp_path / "graph.tsv")
    assert list(open_judges(EvalConfig(), graph, None)) == ["facts"]
    assert list(open_judges(EvalConfig(reward="runs/reward"), None, None)) == ["reference", "reward"]
    asked = EvalConfig(judge="all-facts,http://host/v1#m")
    assert list(open_judges(asked, graph, None)) == ["all-facts", "m"]


def test_rewards_of_answers_read_together_are_those_of_each_alone(tokenizer):
    model, template = tiny_model(vocabulary=tokenizer.vocabulary), Template()
    head = ScalarHead(model.config.width).double()
    scores = reward_scores((model, None, head, tokenizer, template), RECORDS, ANSWERS, EvalConfig())
    assert set(scores) == {(str(i), text) for i in range(4) for text in ("fever and cough", "nothing")}
    for (_, text), score in scores.items():
        dialogue = [RECORDS[0]["messages"][0], {"role": "assistant", "content": text}]
        ids, _ = encode_dialogue(tokenizer, template, dialogue)
        with torch.no_grad():
            assert score == pytest.approx(head(model(torch.tensor(ids), [len(ids)])[-1]).item(), abs=1e-9)


def verdict(messages):
    """Prefers what says fever; A where both do or neither."""
    told = messages[-1]["content"]
    a, b = (told.partition(f"<answer {name}")[2].partition(f"</answer {name}")[0] for name in "AB")
    return "Reasons.\n" + ("[[B]]" if "fever" in b and "fever" not in a else "[[A]]")


def test_a_judge_behind_an_endpoint(tmp_path):
    with Server(verdict) as server:
        cfg = EvalConfig(judge=f"{server.url}#wise")
        judge, = open_judges(cfg, None, Cache(tmp_path / "cache.jsonl")).values()
        rows, judgements, _ = rows_by(ANSWERS, judge=judge)
        assert rows["win / tie / lose against bad"]["good"]["value"] == "4 / 0 / 0"
        assert rows["win / tie / lose against good"]["mixed"]["value"] == "0 / 2 / 1"
        assert rows["order flips against good"]["mixed"]["value"] == round(2 / 3, 4)
        said = [line for line in judgements if "said" in line]
        assert {(line["model_a"], line["model_b"]) for line in said} >= {("good", "bad"), ("bad", "good")}
        of_ba = [line for line in said if line["model_a"] == "bad" and line["model_b"] == "good"]
        assert [line["verdict"] for line in of_ba] == ["B"] * 4 and of_ba[0]["said"].endswith("[[B]]")
        asked = len(server.questions())
        rows_by(ANSWERS, judge=open_judges(cfg, None, Cache(tmp_path / "cache.jsonl"))["wise"])
        assert len(server.questions()) == asked, "a judgement was not kept"


def test_a_judge_that_never_speaks_is_an_error():
    with Server(act=lambda messages: "401") as server:
        judge, = open_judges(EvalConfig(judge=f"{server.url}#m"), None, None).values()
        with pytest.raises(ValueError, match="judge reference: no judgement of .* came; .*401"):
            rows_by(ANSWERS, judge=judge)


def test_rubrics_by_hand():
    """fever is met by good, half of mixed's answers; its fourth is a Failure and has no score."""
    rubrics = [{"criterion": "Names fever", "points": 5}, {"criterion": "Is nothing", "points": -5}]
    records = [{"id": str(i), "messages": [{"role": "user", "content": "?"}], "meta": {},
                "example_tags": ["theme:x"], "rubrics": rubrics} for i in range(4)]

    def met(messages):
        told = messages[-1]["content"]
        criterion = told.partition("<criterion")[2].partition("</criterion")[0]
        answer = told.partition("<last answer")[2].partition("</last answer")[0]
        return json.dumps({"criteria_met": ("fever" if "fever" in criterion else "nothing") in answer})
    with Server(met) as server:
        judge, = open_judges(EvalConfig(judge=f"{server.url}#m"), None, None).values()
        rows, lines = grade_all("m", judge, records, ANSWERS)
    cells = {row["metric"]: {name: cell["value"] for name, cell in row["models"].items()} for row in rows}
    assert cells["score"] == {"good": 1, "bad": 0, "mixed": round(1 / 3, 4)}   # 1, -1, 1; bad's -1 clipped
    assert cells["unscored"] == {"good": "0", "bad": "0", "mixed": "1"}
    assert cells["- theme:x (4)"]["good"] == 1 and cells["- theme:x (3)"]["mixed"] == round(1 / 3, 4)
    assert [line["score"] for line in lines if line["model"] == "mixed"] == [1, -1, 1, None]
