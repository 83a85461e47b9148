"""The four evaluations' scoring, on answers written by hand,
and the exam's log-probabilities on a tiny model."""

import math

import pytest

from clinicalgpt import tasks
from clinicalgpt.template import Template, encode_dialogue
from evaluate import EvalConfig
from tests.reference import tiny_model


def exam(answer, category, options="AB"):
    return {"id": "1",
            "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "x"}],
            "meta": {"options": {letter: f"option {letter}" for letter in options},
                     "answer": answer, "category": category}}


def test_exam_counts_unparsed_as_wrong_and_takes_no_letter_from_the_middle():
    records = [exam("A", "x"), exam("B", "x"), exam("B", "y"), exam("A", "y")]
    texts = ["Answer: option A (A)", "option (B) is wrong, I think", "Answer: option B (B).", "DNA and CT"]
    answers = [{"text": t, "logp": {"A": a, "B": -1.0}} for t, a in zip(texts, (-0.5, -0.5, -2.0, -0.5))]
    metrics = tasks.measure_exam(records, answers)
    assert metrics["accuracy"][0] == 0.75 and metrics["- x (2)"][0] == 0.5 and metrics["- y (2)"][0] == 1.0
    assert metrics["average of groups"][0] == 0.75
    assert metrics["accuracy, written and parsed"][0] == 0.5 and metrics["unparsed"][0] == 0.5


def test_diagnosis_takes_the_label_or_an_alias_and_nothing_that_merely_contains_it():
    def record(group):
        return {"meta": {"label": "肺炎", "aliases": ["Pneumonia"], "group": group}}
    answers = ["诊断：肺炎", "Diagnosis: pneumonia.", "诊断：支气管肺炎", "不是肺炎"]
    metrics = tasks.measure_diagnosis([record("a"), record("a"), record("b"), record("b")], answers)
    assert metrics["accuracy"][0] == 0.5 and metrics["- a (2)"][0] == 1.0 and metrics["- b (2)"][0] == 0.0


def test_dialogue_scores_every_doctors_turn_with_the_true_history():
    messages = [{"role": role, "content": text} for role, text in
                (("user", "a"), ("assistant", "one two"), ("user", "b"), ("assistant", "three"))]
    turns = tasks.doctor_turns([{"messages": messages}])
    assert [(len(history), reference) for _, history, reference in turns] == [(1, "one two"), (3, "three")]
    perfect = tasks.measure_dialogue([{"messages": messages}], [["one two", "three"]])
    swapped = tasks.measure_dialogue([{"messages": messages}], [["three", "one two"]])
    assert perfect["BLEU-1"][0] == pytest.approx(1) and perfect["ROUGE-L"][0] == pytest.approx(1)
    assert swapped["ROUGE-L"][0] == 0


def test_option_log_probabilities_equal_the_sum_over_the_full_forward(tokenizer):
    model = tiny_model(vocabulary=tokenizer.vocabulary)
    cfg = EvalConfig(micro_batch_tokens=40)
    speaker = tasks.Speaker(model, tokenizer, Template(), cfg, "test")
    dialogues = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}]
                 for q, a in (("fever?", "yes"), ("a cough and a fever", "no, rest"), ("x", "y"))]
    for dialogue, logp in zip(dialogues, speaker.logp(dialogues)):
        ids, answer = encode_dialogue(tokenizer, Template(), dialogue)
        table = model.logits([ids])[0].double().log_softmax(-1)
        expected = math.fsum(table[i - 1, ids[i]].item() for i in range(len(ids)) if answer[i])
        assert logp == pytest.approx(expected, abs=1e-4)


def test_qa_verdicts_are_symmetric_and_a_lone_model_is_not_judged():
    records = [{"id": "q", "messages": [{"role": "user", "content": "?"},
                                        {"role": "assistant", "content": "fever and cough"}], "meta": {}}]
    rows = tasks.judge_qa(records, {"a": ["fever and cough"], "b": ["nothing"]}, None, None, 256)
    rates = {row["metric"]: row["models"] for row in rows if "rate" in row["metric"]}
    assert rates["win rate against b"]["a"]["value"] == 1 and rates["win rate against a"]["b"]["value"] == 0
    assert tasks.judge_qa(records, {"a": ["x"]}, None, None, 256) == []
