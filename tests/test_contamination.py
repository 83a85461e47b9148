"""Overlap of tests with training texts: against sets of runs in plain Python, and a leak planted by hand."""
import json
import math
import random
import re

import numpy as np
import pytest

from clinicalgpt.evaluation import contamination
from clinicalgpt.evaluation.contamination import contamination as contaminated
from clinicalgpt.evaluation.contamination import overlap

LEAKED = "患者男性六十五岁因反复咳嗽咳痰十年加重伴气促三天入院应当首先做什么检查"


def runs_of(text):
    units = re.findall(r"[\u4e00-\u9fff]|[a-z]+|[0-9]+", text.lower())
    return [tuple(units[i:i + 13]) for i in range(len(units) - 12)]


def shares(texts, training):
    known = {run for text in training for run in runs_of(text)}
    return [sum(run in known for run in runs) / len(runs) if runs else math.nan
            for runs in map(runs_of, texts)]


def some_texts(count, seed):
    generator = random.Random(seed)
    parts = ["".join(generator.choices("咳嗽发热头痛胸闷乏力", k=20)) for _ in range(30)]
    parts += [" ".join(generator.choices(("fever", "cough", "rash", "12"), k=14)) for _ in range(30)]
    return ["，".join(generator.sample(parts, generator.randint(0, 4))) for _ in range(count)]


@pytest.mark.parametrize("characters", [1, 500, 1 << 22])
def test_shares_equal_sets_of_runs(monkeypatch, characters):
    monkeypatch.setattr(contamination, "CHARACTERS", characters)
    monkeypatch.setattr(contamination, "COMMON", 10**9)
    texts, training = some_texts(60, 1), some_texts(40, 1)[20:] + some_texts(20, 2)
    expected = shares(texts, training)
    assert 0 < np.nanmean(expected) < 1 and np.isnan(expected).any()
    np.testing.assert_allclose(overlap(texts, iter(training)), expected)
    assert np.nanmax(overlap(texts, [])) == 0


def test_one_character_more_or_less_of_punctuation_and_width_changes_nothing():
    assert overlap([LEAKED], ["前文。" + LEAKED[:20] + "， " + LEAKED[20:] + "？后文"]) == [1]
    assert overlap(["Take 5 MG of drug a b c d e f g h"], ["take ５ mg, of drug. A B C D E F G H"]) == [1]
    assert overlap([LEAKED], [LEAKED[:12], LEAKED[12:24]]).tolist() == [0]           # 12 in a row are no run
    # 35 characters have 23 runs; one character in the middle (the 18th) is in 13 of them
    changed = LEAKED[:17] + "某" + LEAKED[18:]
    assert overlap([LEAKED], [changed]).tolist() == [(len(LEAKED) - 12 - 13) / (len(LEAKED) - 12)]


def test_a_turn_of_phrase_of_many_tests_does_not_count():
    phrase = "请根据以下病历给出最可能的诊断并说明理由"
    tests = [phrase + chr(0x5000 + i) * 13 for i in range(21)]
    assert np.nanmax(overlap(tests, [phrase])) == 0
    assert overlap(tests[:20], [phrase]).min() > 0                                   # twenty are not many


def record(question, answer, **more):
    return {"id": question[:4], "messages": [{"role": "user", "content": question},
                                             {"role": "assistant", "content": answer}], **more}


def test_a_planted_leak_is_found(tmp_path):
    options = "\nA. 胸部CT\nB. 血常规"
    tests = [record(LEAKED + options, "答案：胸部CT（A）"),
             record("糖尿病患者应当如何控制饮食才能保持血糖稳定", "少吃糖"),
             record("请问感冒怎么办", "多喝水，注意休息，三天后如果仍然发热，请到医院检查血常规")]
    turned = LEAKED[:5] + "，" + LEAKED[5:] + "？\nA. 血常规\nB. 胸部CT"
    dialogue, ranked, prose = tmp_path / "train.jsonl", tmp_path / "ranked.jsonl", tmp_path / "prose.txt"
    clean = [record(f"问题{i}", f"回答{i}") for i in range(50)]
    dialogue.write_text("".join(json.dumps(one) + "\n" for one in clean))
    paths = [dialogue, ranked, prose]
    asked = [{"role": "user", "content": "问"}]
    ranked.write_text(json.dumps({"messages": asked, "answers": ["甲", "乙"]}) + "\n")
    prose.write_text("\n这是一段没有关系的文字，里面没有考题，也没有病历\n", encoding="utf-8")
    rows, counts = contaminated(tests, paths)
    assert [row["asked"] for row in rows] == [False] * 3 and counts["question >= 20%"] == 0
    assert counts["records"] == 3
    assert counts["question under 13 units"] == 1 and counts["answer under 13 units"] == 2
    # planted: the exam question, its options turned; the third answer, ranked; half of the second question
    dialogue.write_text(json.dumps(record(turned, "B")) + "\n")
    ranked.write_text(json.dumps({"messages": asked, "answers": ["甲", tests[2]["messages"][1]["content"]]}))
    prose.write_text("文章：" + tests[1]["messages"][0]["content"][:17], encoding="utf-8")
    rows, counts = contaminated(tests, paths)
    assert [row["asked"] for row in rows] == [True, False, False]
    assert rows[0]["question"] > 0.7 and rows[2]["answer"] == 1 and math.isnan(rows[2]["question"])
    assert rows[1]["question"] == 5 / 9                    # 21 characters have 9 runs, 17 have 5
    assert counts["asked"] == 1 and counts["question >= 50%"] == 2 and counts["answer >= 100%"] == 1


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("a.jsonl", b'{"messages": [{"role": "user"}]}\n', "a.jsonl:1: no 'messages'"),
    ("a.jsonl", b'{"messages": [{"role": "user", "content": 5}]}\n', "a.jsonl:1: no 'messages'"),
    ("a.jsonl", b'{"id": 1}\n', "a.jsonl:1: no 'messages'"),
    ("a.jsonl", b"{\n", "a.jsonl:1: not a JSON line"),
    ("a.txt", b"good\n\xff\xfe\n", "a.txt:2: not UTF-8"),
])
def test_damaged_files_are_named(tmp_path, name, text, expected):
    (tmp_path / name).write_bytes(text)
    with pytest.raises(ValueError, match=expected):
        contaminated([record(LEAKED, "x")], [tmp_path / name])
    with pytest.raises(FileNotFoundError):
        contaminated([record(LEAKED, "x")], [tmp_path / "absent.txt"])
