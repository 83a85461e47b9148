"""Copies, leaks, languages and unusable records, each planted; probabilities against the formula."""
import random

import numpy as np
import pytest

from data import hygiene
from data.hygiene import bands, index_of, jaccard, near_candidates, normal, runs, signatures

MEAL = "患者女性四十二岁因反复上腹部疼痛三个月加重一周入院既往体健无特殊病史"            # 34 units


def record(*turns, task="qa", **more):
    messages = [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return {"id": "x-1", "task": task, "messages": messages, **more}


def ranked(question, *answers):
    return {"id": "x-2", "messages": [{"role": "user", "content": question}], "answers": list(answers)}


@pytest.mark.parametrize("made, reason", [
    (record("头痛怎么办？", "休息。"), None),
    (record("头痛怎么办？", "多\u0007休息"), "control characters"),
    (record("头痛怎么办？", "第一行\n\t第二行\r\n"), None),
    (record("头痛怎么办？", "多休\ufffd息"), "broken Unicode"),
    (record("头痛怎么办？", "多休\ud83d息"), "broken Unicode"),
    (record("头痛怎么办？", "锟斤拷锟斤拷"), "broken Unicode"),
    (record("头痛怎么办？", " \n"), "empty"),
    (record("？？", "休息"), "empty"),
    (record("头痛怎么办？", "。。。"), "empty"),
    (record("头痛怎么办？", "休息", "谢谢"), "turns out of order"),
    (record("头痛怎么办？"), "turns out of order"),
    (record("好的", "好的"), "answer equal to the question or to the other answer"),
    (record("发热", "好的", "好的", "休息"), None),
    (record("头" * 90, "痛" * 11), "too long"),
    (record("血型是什么？", "A"), "answer too short"),
    (record("血型是什么？", "A", task="exam"), None),
    (ranked("头痛怎么办？", "休息", "不知道"), None),
    (ranked("头痛怎么办？", "休息", "休息"), "answer equal to the question or to the other answer"),
])
def test_unusable(made, reason):
    assert hygiene.unusable(made, max_chars=100, min_chars=2) == reason


def test_languages_by_share_of_letters():
    texts = ["头痛怎么办", "血钾高于 a 3 5mmol l b 4mmol l c 5mmol l", "how is asthma treated",
             "50 μm is the width", "これは日本語の文章です", "как лечить грипп", "12 30",
             "頭痛 " + "x" * 17, "頭痛 " + "x" * 19]
    names = [hygiene.LANGUAGES[code] for code in hygiene.languages(texts)]
    assert names == ["zh", "zh", "en", "en", "other", "other", "other", "zh", "en"]


def test_normal_text_and_questions():
    assert normal("ＢＰ：120／80 mmHg，头痛_！") == "bp 120 80 mmhg 头痛"
    one = record("谁？\nA. 甲\nB. 乙", "甲", task="exam")
    other = record("谁 ?\nA. 乙\nB.  甲", "甲", task="exam")
    assert hygiene.question(one) == hygiene.question(other)
    assert hygiene.question(one) != hygiene.question(record("谁？\nA. 甲\nB. 丙", "甲"))
    system = {"role": "system", "content": "你是医生"}
    asked = record("头痛？", "休息")
    assert hygiene.told(asked | {"messages": [system, *asked["messages"]]}) == "头痛 休息"
    assert hygiene.told(ranked("头痛？", "休息", "不知道"), 1) == "头痛 休息"


def test_jaccard_by_hand():
    assert jaccard(hygiene.fives("abcdefg"), hygiene.fives("abcdefx")) == 2 / 4   # cdefg and cdefx differ
    assert jaccard(hygiene.fives("ab"), hygiene.fives("ab")) == 1


def near_pairs(share_changed, pairs=400, length=300):
    """(share of planted pairs found, candidates in all, mean Jaccard) where some characters were changed."""
    rng = random.Random(5)
    letters, texts = [chr(0x4e00 + i) for i in range(2000)], []
    for _ in range(pairs):
        text = rng.choices(letters, k=length)
        copy = list(text)
        for place in rng.sample(range(length), round(share_changed * length)):
            copy[place] = rng.choice(letters)
        texts += ["".join(text), "".join(copy)]
    least = np.concatenate([signatures(texts[i:i + 50]) for i in range(0, len(texts), 50)], 1)
    numbers, low = bands(least, np.zeros(len(texts))), (least & 255).astype(np.uint8).T
    found = near_candidates(lambda b: numbers[b], low, np.arange(len(texts)), 0.5)
    found, planted = set(map(tuple, found.tolist())), {(2 * i + 1, 2 * i) for i in range(pairs)}
    sets = [hygiene.fives(text) for text in texts]
    mean = sum(map(jaccard, sets[::2], sets[1::2])) / pairs
    return len(found & planted) / pairs, len(found), mean


def test_near_copies_are_found_with_95_percent():
    share, candidates, mean = near_pairs(0.035)
    assert 0.68 < mean < 0.76 and share > 0.95 and candidates < 405


def test_the_near_copy_check_has_teeth(monkeypatch):
    monkeypatch.setattr(hygiene, "BANDS", 4)                     # as many hashes a record, fewer bands
    monkeypatch.setattr(hygiene, "ROWS", 30)
    assert near_pairs(0.035)[0] < 0.5


def test_bands_part_kinds():
    least = signatures(["同样的文字在两种记录里"] * 2)
    assert (bands(least, np.array([0, 1]))[:, 0] != bands(least, np.array([0, 1]))[:, 1]).all()


def test_time_does_not_grow_with_the_square_of_a_bucket():
    n = 3000                                                     # all agree in every band
    pairs = near_candidates(lambda b: np.zeros(n, np.uint32), np.zeros((n, 120), np.uint8), np.arange(n), 0.5)
    assert len(pairs) == sum(min(i, 8) + (i > 8) for i in range(n))
    assert (pairs[:, 1] < pairs[:, 0]).all() and (np.diff(pairs[:, 0]) >= 0).all()


def test_runs_count_characters_of_chinese_and_words_of_english():
    numerals = "一二三四五六七八九十百千万亿兆"
    hashes, text, place = runs(["头痛 three days 怎么办", "a b c d e f g h i j k l m n", numerals])
    assert text.tolist() == [1, 1, 2, 2, 2] and place.tolist() == [0, 1, 0, 1, 2]
    assert len(set(hashes.tolist())) == 5
    spaced, _, _ = runs(["一 二三四五 六七八九十百千万 亿兆"])
    assert spaced.tolist() == hashes[2:].tolist(), "spaces between Chinese characters made a difference"
    assert [array.tolist() for array in runs(["", "短"])] == [[], [], []]


def leak(question, text, share=0.7, others=()):
    held_out = [question, *others]
    found = hygiene.leaks(index_of(*runs([*map(normal, held_out)]), len(held_out)), [normal(text)], share)
    return [round(float(part), 3) for _, number, part in zip(*found) if number == 0]


def test_leaks():
    assert leak(MEAL, f"请问医生：{MEAL}，怎么办？") == [1]
    assert leak(MEAL, "，".join(MEAL)) == [1], "other punctuation hid a leak"
    assert leak(MEAL, MEAL[:26]) == [0.765] and not leak(MEAL, MEAL[:23])            # 26 of 34; 23 of 34
    changed = MEAL[:16] + "某" + MEAL[17:]                       # runs before it and after it cover 33 of 34
    assert leak(MEAL, changed) == [0.971]
    assert not leak(MEAL, MEAL[:12] + "某" + MEAL[13:25] + "某" + MEAL[26:]), "12 units are no run"
    english = ("A 45 year old man comes to the clinic because of chest pain that began two days ago "
               "after dinner at home")
    assert leak(english, "Question: " + english.upper() + "!") == [1]
    assert not leak(english, english.replace("man", "woman").replace("pain", "ache").replace("ago", "back"))


def test_a_short_question_leaks_only_whole():
    short = "急性非ST段抬高型心肌梗死的症状有哪些"                     # 18 units: "st" is one
    assert leak(short, f"医生，{short}？") == [1]
    assert not leak(short, "急性非ST段抬高型心肌梗死的症状包括胸痛")


def test_a_common_run_is_no_leak():
    phrase = "请根据以上病历资料给出最可能的诊断并说明理由谢谢字数不限"
    others = [f"{phrase}{MEAL[i:]}" for i in range(21)]
    assert leak(phrase + "甲" * 3 + "乙" * 9, phrase + "完全不同的内容") != []
    assert leak(phrase + "甲" * 3 + "乙" * 9, phrase + "完全不同的内容", others=others) == []


def test_same_answers_counts_different_questions():
    answer = np.array([7, 7, 7, 9, 9, 9], np.uint64)
    asked = np.array([1, 2, 3, 4, 4, 5], np.uint64)
    assert hygiene.same_answers(answer, asked, 2).tolist() == [True] * 3 + [False] * 3
    assert not hygiene.same_answers(answer, asked, 3).any()
    assert hygiene.repeats(np.array([5, 3, 5, 3, 1], np.uint64)).tolist() == [0, 1, 0, 1, 4]
    assert len(hygiene.repeats(np.empty(0, np.uint64))) == 0
