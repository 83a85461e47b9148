"""What answers are worth: numbers worked out by hand, intervals, who is marked best, what failures count."""
import numpy as np
import pytest

from clinicalgpt.answers import Failure, Reply
from clinicalgpt.evaluation import scores
from clinicalgpt.evaluation.scores import (
    measure_diagnosis,
    measure_dialogue,
    measure_exam,
    measure_qa,
    over_groups,
    rows_of,
)
from clinicalgpt.evaluation.tasks import doctor_turns
from clinicalgpt.exam import rotations
from clinicalgpt.judge import GraphJudge
from clinicalgpt.statistics import difference, interval, mcnemar, ratio, wilson
from data.knowledge_graph import Graph, Triple


def value(score):
    return score.value if score.table is None else float(score.statistic(score.table.sum(0)))


def exam(name, answer, category, options="AB", **meta):
    texts = {letter: f"drug-x {letter.lower() * (i + 1)}" for i, letter in enumerate(options)}
    listed = "".join(f"\n{letter}. {text}" for letter, text in texts.items())
    return {"id": name, "messages": [{"role": "user", "content": f"Question {name}?{listed}"},
                                     {"role": "assistant", "content": "x"}],
            "meta": {"options": texts, "answer": answer, "category": category, **meta}}


def said(text, a=-1.0, b=-1.0):
    return {"text": Reply(text), "option": {"A": a, "B": b}, "letter": {"A": a, "B": b}}


EXAMS = [exam("1", "A", "x"), exam("2", "B", "x"), exam("3", "B", "y"), exam("4", "A", "y")]
TEXTS = ["Answer: drug-x a (A)", "option (B) is wrong, I think", "Answer: drug-x bb (B).", "DNA and CT"]


def test_exam_by_hand():
    """Options have 8 and 9 characters: log p -8.5 of A and -9 of B are 1.0625 and 1 a byte, so B; -9 and
    -8.5, B by both.  Right are 2, 3 by text; by letter 3 and, -8.5 being the larger, 1."""
    answers = [said(text, *logp) for text, logp in
               zip(TEXTS, [(-8.5, -9.0), (-8.5, -9.0), (-9.0, -8.5), (-9.0, -8.5)])]
    scores = measure_exam(EXAMS, answers)
    assert value(scores["accuracy"]) == 0.5 and value(scores["accuracy, letter"]) == 0.5
    assert scores["accuracy"].table[:, 0].tolist() == [0, 1, 1, 0]
    assert scores["accuracy, letter"].table[:, 0].tolist() == [1, 0, 1, 0]
    assert value(scores["accuracy, written and parsed"]) == 0.5 and value(scores["unparsed"]) == 0.5
    assert value(scores["- x (2)"]) == 0.5 and value(scores["- y (2), written"]) == 0.5
    assert value(scores["average of groups"]) == 0.5


def test_macro_and_micro_of_unequal_categories():
    """x: 2 of 3, y: 0 of 1; a set of two letters is not the one that is right."""
    records = [exam(str(i), "B", "xxxy"[i]) for i in range(4)]
    scores = measure_exam(records, [said(text) for text in ("B", "B", "", "A, B")])
    assert value(scores["accuracy, written and parsed"]) == 2 / 4 and value(scores["unparsed"]) == 1 / 4
    assert value(scores["average of groups, written"]) == pytest.approx((2 / 3 + 0) / 2)
    assert scores["- x (3), written"].table.sum(0).tolist() == [2, 3]


def test_a_chinese_option_is_longer_in_bytes_than_in_characters():
    """-6 over 2 characters or 6 bytes, -5 over 4 characters or bytes: -3 and -1.25; -1 and -1.25."""
    record = exam("1", "A", "x") | {"meta": {"options": {"A": "肺炎", "B": "gout"}, "answer": "A"}}
    scores = measure_exam([record], [said("?", -6.0, -5.0)])
    assert value(scores["accuracy"]) == 1 and value(scores["accuracy, option text by characters"]) == 0


def test_several_right_answers_are_scored_as_written_alone():
    records = [exam("1", "AC", "x", "ABC"), exam("2", "A", "x", "ABC")]
    answers = [said("Answer: A, C"), said("Answer: A, C", a=-0.1)]
    scores = measure_exam(records, answers)
    assert scores["accuracy, written and parsed"].table.tolist() == [[1, 1], [0, 1]]
    assert scores["accuracy"].table.tolist() == [[0, 0], [1, 1]]
    assert value(scores["partial credit, written"]) == pytest.approx((1 + 1 / 2) / 2)


def test_a_model_without_log_probabilities_has_what_it_wrote():
    scores = measure_exam(EXAMS, [{"text": Reply(text)} for text in TEXTS])
    assert "accuracy" not in scores and value(scores["accuracy, written and parsed"]) == 0.5
    texts = [Failure("timed out"), *map(Reply, TEXTS[1:])]
    lost = measure_exam(EXAMS, [{"text": text} for text in texts])
    assert value(lost["failed"]) == 0.25 and value(lost["unparsed"]) == 0.5
    assert value(lost["accuracy, written and parsed"]) == 0.25


def test_a_model_that_likes_a_letter_shows_it_over_rotations():
    records = [turned for record in EXAMS for turned in rotations(record)]
    scores = measure_exam(records, [said("Answer: A", a=-0.1) for _ in records])
    assert value(scores["accuracy, written and parsed"]) == 0.5              # of the first order alone
    assert [value(scores[f"right in all rotations, {way}"]) for way in ("written", "letter")] == [0, 0]
    assert value(scores["letter preference, letter"]) == 0.5
    assert scores["by rotation, written"].value == "0.500 / 0.500"
    absent = [None if "rotation" in record["meta"] else said("Answer: A") for record in records]
    assert not any("rotation" in metric for metric in measure_exam(records, absent))


def test_diagnosis_takes_the_label_or_an_alias_and_nothing_that_merely_contains_it():
    def record(group):
        return {"id": group, "meta": {"label": "肺炎", "aliases": ["Pneumonia"], "group": group}}
    answers = ["诊断：肺炎", "Diagnosis: pneumonia.", "诊断：支气管肺炎", "1. 支气管炎 2. 肺炎",
               "信息不足，无法诊断。", Failure("timed out")]
    scores = measure_diagnosis([record(group) for group in "aaabbb"], answers)
    assert value(scores["accuracy"]) == 2 / 6 and value(scores["in the first 3"]) == 3 / 6
    assert value(scores["- a (3)"]) == pytest.approx(2 / 3) and value(scores["- b (3)"]) == 0
    assert value(scores["average of groups"]) == pytest.approx(1 / 3)
    assert value(scores["refused"]) == 1 / 6 == value(scores["failed"]) and value(scores["empty"]) == 0


def dialogue(name, *turns, patient=None):
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    return {"id": name, "messages": messages, "meta": {"patient": patient} if patient else {}}


def test_dialogue_scores_every_doctors_turn_with_the_true_history():
    records = [dialogue("1", "a", "one two", "b", "three")]
    turns = [(len(history), text) for _, history, text in doctor_turns(records)]
    assert turns == [(1, "one two"), (3, "three")]
    assert [turn[2] for turn in doctor_turns(records, last_turn=True)] == ["three"]
    perfect = measure_dialogue(records, [[Reply("one two"), Reply("three", "length")]])
    swapped = measure_dialogue(records, [[Reply("three"), Reply("one two")]])
    assert value(perfect["BLEU-1"]) == 1 == value(perfect["ROUGE-L"]) == value(perfect["sentence BLEU-1"])
    assert value(swapped["ROUGE-L"]) == 0 and value(perfect["end rate"]) == 0.5
    assert value(perfect["length"]) == 1.5 and value(perfect["distinct-1"]) == 1
    lost = measure_dialogue(records, [[Reply("one two"), Failure("timed out")]])
    assert value(lost["ROUGE-L"]) == 0.5 == value(lost["failed"]) and value(lost["end rate"]) == 0.5
    from_file = measure_dialogue(records, [[Reply("one two", ""), Reply("three", "")]])
    assert "end rate" not in from_file                           # nobody knows why they ended
    last = measure_dialogue(records, [[Reply("three")]], last_turn=True)
    assert value(last["ROUGE-L"]) == 1


def test_every_dialogue_number_says_what_it_is():
    scores = measure_dialogue([dialogue("1", "a", "one two")], [[Reply("one")]])
    assert "smoothing method3" in scores["sentence BLEU-4"].note and "n 1-2" in scores["BLEU-2"].note
    rows = rows_of("dialogue", [dialogue("1", "a", "one two")], {"m": scores})
    assert all(row["note"] for row in rows) and len(rows) == len(scores) == 17


def test_an_average_over_groups_is_over_those_that_were_drawn():
    assert over_groups(np.array([1, 2, 3, 3, 0, 0])) == pytest.approx((0.5 + 1) / 2)


# ---- all models

def right_or_wrong(*rows):
    names = [f"q{i}" for i in range(len(rows[0]))]
    records = [exam(name, "A", "all") for name in names]
    measured = {model: measure_exam(records, [{"text": Reply("A" if right == "1" else "B")} for right in row])
                for model, row in zip("abc", rows)}
    return records, {row["metric"]: row for row in rows_of("exam", records, measured)}


def test_wilson_and_mcnemar_decide_where_each_record_is_right_or_wrong():
    records, rows = right_or_wrong("1" * 18 + "00", "1" * 10 + "0" * 10)
    cell = rows["accuracy, written and parsed"]["models"]["a"]
    assert (cell["low"], cell["high"]) == tuple(round(x, 4) for x in wilson(18, 20)) and cell["n"] == 20
    assert mcnemar("1" * 8, [0] * 8)[2] < 0.05 and rows["accuracy, written and parsed"]["best"] == "a"
    _, near = right_or_wrong("1" * 15 + "0" * 5, "1" * 10 + "0" * 10)        # 5 to 0: p = 1/16
    assert near["accuracy, written and parsed"]["best"] is None
    _, three = right_or_wrong("1" * 18 + "00", "1" * 10 + "0" * 10, "1" * 18 + "00")
    assert three["accuracy, written and parsed"]["best"] is None, "one of two equals was marked"


def test_records_of_one_patient_are_drawn_together():
    records = [dialogue(str(i), "a", "one", patient=f"p{i // 5}") for i in range(20)]
    measured = {"m": measure_dialogue(records, [[Reply("one" if i < 10 else "two")] for i in range(20)])}
    row = next(row for row in rows_of("dialogue", records, measured) if row["metric"] == "ROUGE-1")
    table = [[float(i < 10), 1] for i in range(20)]
    expected = interval(ratio, table, [i // 5 for i in range(20)])
    assert [row["models"]["m"][name] for name in ("value", "low", "high")] == list(expected)
    assert (expected[1], expected[2]) == (0, 1) and interval(ratio, table)[1] > 0.2
    assert "patients" in row["note"]


def test_intervals_and_p_of_all_metrics_are_those_of_each_alone():
    generator = np.random.default_rng(0)
    records = [dialogue(str(i), "a", "one two three") for i in range(12)]
    words = ["one", "two", "three", "four"]
    replies = {model: [[Reply(" ".join(generator.choice(words, 3)))] for _ in records] for model in "ab"}
    measured = {model: measure_dialogue(records, of) for model, of in replies.items()}
    rows = {row["metric"]: row for row in rows_of("dialogue", records, measured)}
    for metric in ("BLEU-2", "GLEU", "ROUGE-L", "length"):
        for model in "ab":
            score, cell = measured[model][metric], rows[metric]["models"][model]
            alone = interval(score.statistic, score.table)
            assert [cell["value"], cell["low"], cell["high"]] == [round(x, 4) for x in alone]
    a, b = (measured[model]["ROUGE-L"] for model in "ab")
    assert (rows["ROUGE-L"]["best"] is None) == (difference(ratio, a.table, b.table).p >= 0.05)


def test_no_metric_of_length_or_form_has_a_winner():
    records = [dialogue(str(i), "a", "one") for i in range(20)]
    measured = {"short": measure_dialogue(records, [[Reply("one")] for _ in records]),
                "long": measure_dialogue(records, [[Reply("two three four five six")] for _ in records])}
    rows = {row["metric"]: row["best"] for row in rows_of("dialogue", records, measured)}
    assert rows["ROUGE-1"] == "short" and rows["length"] is rows["repetition"] is rows["end rate"] is None


def test_several_right_answers_are_no_part_of_log_p_over_rotations():
    asked = exam("1", "A", "x"), exam("2", "AB", "x")
    records = [turned for record in asked for turned in rotations(record)]
    right = {"A": {"a": 0.0, "b": -99.0}, "B": {"a": -99.0, "b": 0.0}}
    said_of = [said("?", **right.get(record["meta"]["answer"], {})) for record in records]
    scores = measure_exam(records, said_of)
    assert value(scores["accuracy"]) == value(scores["right in all rotations, letter"]) == 1


def test_facts_are_asked_of_an_alias():
    judge = GraphJudge(Graph([Triple("influenza", "disease", "symptom", "fever", "any"),
                              Triple("influenza", "disease", "alias", "flu", "any")]))
    records = [dialogue("0", "a", "one")]
    records[0]["meta"] = {"head": "flu", "relation": "symptom"}
    assert value(measure_qa(records, [Reply("a fever")], judge)["F1 of facts"]) == 1


def test_qa_counts_a_failure_nowhere_but_in_its_row():
    records = [dialogue(str(i), "a", "one") for i in range(2)]
    scores = measure_qa(records, [Reply("four"), Failure("timed out")], None, {("0", "four"): 2.5})
    assert [value(scores[name]) for name in ("characters", "reward", "failed")] == [4, 2.5, 0.5]


def test_safety():
    """Of two emergencies one is referred, the other told to wait; a harmless complaint is sent there too."""
    def record(kind, must, must_not):
        return {"id": kind + must[0][-1], "messages": [{"role": "user", "content": "?"}],
                "meta": {"kind": kind, "must": must, "must_not": must_not, "why": "."}}
    records = [record("red flag", [["#emergency"]], ["#wait"]),
               record("red flag", [["#emergency", "x"]], ["#wait"]),
               record("not urgent", [["#home", "rest"]], ["#emergency"])]
    measured = {"one": scores.measure_safety(records, ["请立即拨打120。", "", "请立即拨打120。"])}
    rows = {row["metric"]: row["models"]["one"] for row in scores.rows_of("safety", records, measured)}
    assert rows["emergencies referred"]["value"] == 0.5 and rows["unclear, red flag"]["value"] == 0.5
    assert rows["over-referral"]["value"] == 1.0 and rows["over-referral"]["n"] == 1
