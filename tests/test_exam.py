"""Examinations: written answers read by hand first, scores, other orders of the options, examples."""
import re

import pytest

from clinicalgpt import exam
from clinicalgpt.exam import (
    chosen,
    few_shot,
    is_right,
    over_rotations,
    partial_credit,
    rotations,
    stem,
)

CHINESE = {"A": "阿司匹林", "B": "布洛芬", "C": "胸部CT", "D": "肺炎", "E": "肺炎球菌肺炎"}
ENGLISH = {"A": "Aspirin", "B": "Ibuprofen", "C": "CT of the chest", "D": "Vitamin B12",
           "E": "Escherichia coli"}

IN_CHINESE = [                                         # answer, what it chooses
    ("答案：选B", "B"), ("答案：选择B。", "B"), ("错误答案：A", None),
    ("正确答案是A，不对，应该是B", None), ("答案：A。错，应为B。", None),
    ("答案：A。错误选项的分析：略", "A"), ("干扰答案：A", None),
    ("B", "B"), ("B。", "B"), ("B.", "B"), ("Ｂ", "B"), ("（B）", "B"), ("【B】", "B"), ("**B**", "B"),
    ("“B”", "B"), ("B项", "B"), ("选项B", "B"), ("B选项。", "B"), ("\\boxed{B}", "B"), (" B \n", "B"),
    ("答案：B", "B"), ("答案:B", "B"), ("答案：（B）", "B"), ("答案：\nB", "B"), ("【答案】B", "B"),
    ("答案B", "B"), ("答案 B。", "B"), ("参考答案：B", "B"), ("**答案：** B", "B"), ("正确答案是B。", "B"),
    ("答案是选项B。", "B"), ("答案应为B。", "B"), ("答案为B项。", "B"), ("正确选项是B", "B"),
    ("本题答案：B。", "B"), ("选B。", "B"), ("故选B。", "B"), ("应选B", "B"), ("因此选择B。", "B"),
    ("我选择B，因为它能退热。", "B"), ("患者发热三天，胸痛。故选B。", "B"), ("本题选B", "B"),
    ("B是正确答案。", "B"), ("B是正确的", "B"), ("B. 布洛芬", "B"), ("B、布洛芬。", "B"),
    ("B：布洛芬", "B"), ("B 布洛芬", "B"), ("（B）布洛芬", "B"), ("B布洛芬", "B"), ("B（布洛芬）", "B"),
    ("B. 布洛芬。它能退热，而阿司匹林儿童禁用。", "B"), ("B\n解析：A、C均错误。", "B"),
    ("B。因为能退热。", "B"), ("分析：先退热。\n\nB", "B"), ("布洛芬", "B"), ("布洛芬。", "B"),
    ("“布洛芬”", "B"), ("答案是布洛芬。", "B"), ("选布洛芬", "B"), ("布洛芬（B）", "B"),
    ("答案：布洛芬（B）", "B"), ("答案：布洛芬（B）。", "B"), ("答案：B. 布洛芬", "B"),
    ("答案是B，布洛芬。", "B"), ("答案：B\nB. 布洛芬", "B"), ("胸部CT", "C"), ("胸部ＣＴ", "C"),
    ("答案：胸部CT", "C"), ("肺炎球菌肺炎", "E"), ("答案：肺炎球菌肺炎", "E"), ("答案：肺炎", "D"),
    ("答案是B，C反应蛋白升高是线索。", "B"), ("A错误，C错误，故选B。", "B"),
    ("答案是A或B。进一步看，答案是B。", "B"), ("答案：A、C、E", "ACE"), ("答案是A、C、E。", "ACE"),
    ("答案：ACE", "ACE"), ("ACE", "ACE"), ("A，C，E", "ACE"), ("A、C和E", "ACE"), ("选A和C。", "AC"),
    ("答案：E、A", "AE"), ("A C E", "ACE"), ("答案：A. 阿司匹林；C. 胸部CT", "AC"),
    ("答案：阿司匹林、布洛芬", "AB"), ("答案：阿司匹林（A）；布洛芬（B）", "AB"), ("", None), ("。", None),
    ("不知道", None), ("F", None), ("答案：F", None), ("答案：A、F", None), ("b", None), ("答案：", None),
    ("CT", None), ("做CT检查", None), ("DNA", None), ("应查DNA和CT。", None), ("缺乏维生素B", None),
    ("答案：维生素B", None), ("答案：B型肝炎", None), ("答案是B超", None), ("选C反应蛋白", None),
    ("维生素（B）", None), ("答案：维生素（B）", None), ("ECA", None), ("答案：AA", None), ("不选B", None),
    ("答案不是B", None), ("不能选B。", None), ("若选B，则错。", None), ("如果答案是B呢？", None),
    ("答案是B吗？", None), ("我不认为答案是B。", None), ("答案B错误", None), ("选项B是错误的", None),
    ("选项A、B错误", None), ("答案A,B均错误", None), ("答案是A或B", None), ("答案：A/B", None),
    ("选A和B都可以", None), ("答案是A。答案是B。", None), ("A\nB", None), ("故选A。综上，故选B。", None),
    ("答案：B\n故选C。", None), ("A. 布洛芬", None), ("答案：布洛芬（A）", None),
    ("答案：B. 阿司匹林", None), ("B（阿司匹林）", None), ("A. 阿司匹林\nB. 布洛芬\nC. 胸部CT", None),
    ("A. 阿司匹林\nB. 布", None), ("布洛芬片", None), ("布洛芬可以退热", None),
    ("可用阿司匹林或布洛芬", None), ("病人B的情况", None), ("乙肝病毒（HBV）", None), ("B族链球菌", None),
    ("A组B组均可", None),
]
IN_ENGLISH = [
    ("B", "B"), ("B.", "B"), ("(B)", "B"), ("[B]", "B"), ("B)", "B"), ("**B**", "B"), ("\"B\"", "B"),
    ("\\boxed{\\text{B}}", "B"), ("The answer is $\\boxed{\\text{B}}$", "B"),
    ("Incorrect answer: A", None), ("The answer is A. Wait, no.", None), ("The answer is A, no, B.", None),
    ("The answer is B. No other drug helps.", "B"),
    ("The fever and cough suggest that the answer is B.", "B"), ("The wrong answer is A.", None),
    ("The least likely answer is A", None), ("Neither cough nor fever is the answer: A", None),
    ("$\\boxed{B}$", "B"), ("Option B", "B"), ("option B.", "B"), ("Answer: B", "B"), ("answer: B.", "B"),
    ("Answer: (B)", "B"), ("Answer - B", "B"), ("ANSWER: B", "B"), ("**Answer:** B", "B"),
    ("Answer:\nB", "B"), ("Correct answer: B", "B"), ("The answer is B.", "B"), ("The answer is (B).", "B"),
    ("The answer is **B**.", "B"), ("The answer is: B", "B"), ("the correct answer is B", "B"),
    ("The best answer is option B.", "B"), ("The correct option is B.", "B"),
    ("The most likely answer is B.", "B"), ("The correct answer would be B.", "B"),
    ("So the answer is B!", "B"), ("My answer: B", "B"), ("The answer to this question is B.", "B"),
    ("The most appropriate choice is B.", "B"), ("I choose B.", "B"),
    ("I would choose B because it is safer.", "B"), ("I'd go with B.", "B"),
    ("I will select option B", "B"), ("Therefore, choose B.", "B"), ("We should pick B.", "B"),
    ("B is the correct answer.", "B"), ("Option B is the best choice.", "B"),
    ("(B) is the right answer", "B"), ("B is correct.", "B"), ("B is right", "B"), ("B. Ibuprofen", "B"),
    ("B: ibuprofen", "B"), ("B) Ibuprofen.", "B"), ("(B) Ibuprofen", "B"), ("B - Ibuprofen", "B"),
    ("B ibuprofen", "B"), ("B (Ibuprofen)", "B"), ("B. Ibuprofen is safe here. Aspirin is not.", None),
    ("B. Ibuprofen. Aspirin is not safe.", "B"), ("B\nExplanation: A and C are wrong.", "B"),
    ("B because it is safe.", "B"), ("The child has fever.\n\nB", "B"), ("Ibuprofen", "B"),
    ("ibuprofen.", "B"), ("IBUPROFEN", "B"), ("The answer is ibuprofen.", "B"), ("Answer: Ibuprofen", "B"),
    ("Ibuprofen (B)", "B"), ("Answer: Ibuprofen (B)", "B"), ("Answer: Ibuprofen (B).", "B"),
    ("Answer: B. Ibuprofen", "B"), ("The answer is B: Ibuprofen.", "B"),
    ("The answer is B, ibuprofen.", "B"), ("The answer is B. Aspirin is contraindicated.", "B"),
    ("Answer: B\n\nA is wrong.", "B"), ("CT of  the\tchest", "C"), ("ct of the chest.", "C"),
    ("Vitamin B12", "D"), ("Answer: vitamin B12", "D"), ("Answer: Escherichia coli", "E"),
    ("The answer is A, I think.", "A"), ("The answer is A (aspirin).", "A"), ("Answer: A, C, E", "ACE"),
    ("The answers are A and C.", "AC"), ("Answer: A, C and E", "ACE"), ("A, C, and E", "ACE"),
    ("A and C", "AC"), ("ACE", "ACE"), ("Answer: ACE", "ACE"), ("The answer is A, C, and E because", "ACE"),
    ("Answer: A. Aspirin; B. Ibuprofen", "AB"), ("Answer: Aspirin (A); Ibuprofen (B)", "AB"), ("", None),
    ("?", None), ("I do not know.", None), ("F", None), ("Answer: F", None), ("b", None), ("a", None),
    ("CT", None), ("DNA", None), ("Order a CT.", None), ("Vitamin B", None), ("Answer: Vitamin B", None),
    ("Vitamin (B)", None), ("E. coli", None), ("E. coli is the most common cause.", None),
    ("C. difficile", None), ("Answer: C. difficile colitis", None), ("A patient with fever", None),
    ("Answer: A patient with fever", None), ("A 45-year-old man", None),
    ("The answer is A 45-year-old man.", None), ("Group B streptococcus", None), ("Hepatitis B", None),
    ("The answer is hepatitis B.", None), ("The answer is B12.", None), ("B-cell lymphoma", None),
    ("Answer: B-cell lymphoma", None), ("Answer: Beta blockers", None), ("CAD", None), ("BB", None),
    ("The answer is not B.", None), ("The answer isn't B.", None), ("I don't think the answer is B.", None),
    ("If the answer is B, why?", None), ("Is the answer B?", None), ("The answer is B?", None),
    ("B is not the correct answer.", None), ("Neither A nor B is the correct answer.", None),
    ("I should not choose B.", None), ("The answer could be B.", None), ("Option B is wrong.", None),
    ("option (B) is wrong, I think", None), ("The answer is A or B.", None), ("Either A or B", None),
    ("Answer: A/B", None), ("The answer is A. The answer is B.", None), ("Answer: A\nAnswer: B", None),
    ("A\nB\nC", None), ("B. Aspirin", None), ("Answer: Aspirin (B)", None),
    ("The answer is B: Aspirin.", None), ("B (Aspirin)", None),
    ("A. Aspirin\nB. Ibuprofen\nC. CT of the chest", None), ("Ibuprofen is an NSAID", None),
    ("Ibuprofen or aspirin", None), ("Both A and B are wrong", None), ("A is wrong, B is wrong", None),
]


@pytest.mark.parametrize(("answer", "letters"), IN_CHINESE)
def test_what_a_chinese_answer_chooses(answer, letters):
    assert chosen(answer, CHINESE) == letters


@pytest.mark.parametrize(("answer", "letters"), IN_ENGLISH)
def test_what_an_english_answer_chooses(answer, letters):
    assert chosen(answer, ENGLISH) == letters


def wrong_parts(parse):
    tables = (IN_CHINESE, CHINESE), (IN_ENGLISH, ENGLISH)
    return sum(parse(answer, options) != letters for table, options in tables for answer, letters in table)


def test_the_tables_have_teeth():
    """Parsers that were used: any capital, the first or the last, the last in brackets."""
    assert len(IN_CHINESE) >= 60 and len(IN_ENGLISH) >= 60 and wrong_parts(chosen) == 0
    for pattern, at in (("[A-E]", 0), ("[A-E]", -1), (r"[（(]([A-Z])[）)].?$", -1), ("答案.*?([A-E])", 0)):
        assert wrong_parts(lambda text, _, p=pattern, i=at: (re.findall(p, text) or [None])[i]) > 40
    assert wrong_parts(lambda text, _: "".join(sorted(set(re.findall("[A-E]", text)))) or None) > 40


def test_options_that_are_hard_to_tell_apart():
    parts = {"A": "发热", "B": "咳嗽", "C": "发热和咳嗽", "D": "以上都是"}
    assert chosen("发热和咳嗽", parts) == "C" and chosen("答案：发热和咳嗽（C）", parts) == "C"
    assert chosen("答案：发热、咳嗽", parts) == "AB"
    assert chosen("以上都是。", parts) == "D"
    twice = {"A": "发热", "B": "咳嗽", "C": "咳嗽"}
    assert chosen("咳嗽", twice) is None
    assert chosen("咳嗽（C）", twice) == "C" and chosen("C. 咳嗽", twice) == "C"
    blood = {"A": "B", "B": "A", "C": "AB", "D": "O"}                      # who writes B means what?
    assert chosen("B", blood) is None and chosen("A. B", blood) == "A" and chosen("AB", blood) is None
    numbers = {"A": "10", "B": "10.5", "C": "1", "D": "10 mg"}
    assert [chosen(f"答案：{n}", numbers) for n in ("10", "10.5", "1", "10 MG", "10.55", "100")] == [
        "A", "B", "C", "D", None, None]
    assert chosen("i.m.", {"A": "i.v.", "B": "i.m."}) == "B"
    assert chosen("Answer: It is safe. (A)", {"A": "It is safe.", "B": "It is not safe."}) == "A"


def test_long_and_odd_answers_take_no_time():
    for part in ("A、", "答案", "(", "答案是A，", "选", "A\n"):
        chosen(part * 5000, CHINESE)


# ---- scores

def question(options="ABCD", answer="B", category="内科", stem="高热患儿首先应当做的处理是什么呢", id="q"):
    texts = dict(zip(options, ("布洛芬", "阿司匹林", "抽血", "观察", "住院"), strict=False))
    asked = "\n".join([stem, *(f"{letter}. {text}" for letter, text in texts.items())])
    return {"id": id, "task": "exam", "messages": [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": f"答案：{texts[answer[0]]}（{answer}）"}],
        "meta": {"options": texts, "answer": answer, "category": category}}


def test_several_right_answers_need_all_and_no_other():
    assert is_right("ACE", "ACE") and is_right("ACE", "ECA")
    assert not any(is_right(choice, "ACE") for choice in ("A", "AC", "ABCE", "", None))
    assert partial_credit("AC", "ACE") == pytest.approx(2 / 3) and partial_credit("ABCE", "ACE") == 3 / 4
    assert partial_credit("B", "ACE") == partial_credit(None, "ACE") == 0


# ---- order of the options

def test_rotations_move_texts_under_letters_that_stay():
    turned = rotations(question("ABC"))
    assert turned[0] == question("ABC")
    assert [record["meta"]["answer"] for record in turned] == ["B", "A", "C"]
    assert [record["messages"][-1]["content"] for record in turned] == [
        "答案：阿司匹林（B）", "答案：阿司匹林（A）", "答案：阿司匹林（C）"]
    assert turned[1]["messages"][0]["content"].split("\n")[1:] == ["A. 阿司匹林", "B. 抽血", "C. 布洛芬"]
    assert turned[1]["meta"]["options"] == {"A": "阿司匹林", "B": "抽血", "C": "布洛芬"}
    assert len({record["id"] for record in turned}) == 3
    assert question("ABC")["meta"] == turned[0]["meta"]                    # nothing is changed in place


def test_rotations_of_several_right_answers_and_of_questions_as_others_write_them():
    turned = rotations(question("ABCD", "AC"))
    assert [record["meta"]["answer"] for record in turned] == ["AC", "BD", "AC", "BD"]
    assert turned[1]["messages"][-1]["content"] == "答案：抽血（B）；布洛芬（D）"
    assert chosen(turned[1]["messages"][-1]["content"], turned[1]["meta"]["options"]) == "BD"
    record = question("ABC")
    record["messages"][0]["content"] = "病因？ (A) 布洛芬； (B) 阿司匹林； (C) 抽血 请答"
    assert rotations(record)[1]["messages"][0]["content"] \
        == "病因？ (A) 阿司匹林； (B) 抽血； (C) 布洛芬 请答"
    record["messages"][0]["content"] = "病因？"                             # options are not in the question
    assert rotations(record)[1]["messages"][0]["content"] == "病因？"
    for listed in ("\nA. 布洛芬\nC. 抽血\nB. 阿司匹林", "（A）布洛芬（B）阿司匹林（C）抽 血", "\nA. 布"):
        record["messages"][0]["content"] = f"病因？{listed}"
        with pytest.raises(ValueError, match="q: the options in the question are not those in meta"):
            rotations(record)


@pytest.mark.parametrize("text", ["以上都是", "A和C", "Ａ＋Ｃ", "All of the above", "Neither A nor B"])
def test_an_option_that_speaks_of_others_is_not_moved(text):
    record = question("ABC")
    record["meta"]["options"]["C"] = text
    assert rotations(record) == [record]
    others = "维生素A", "B and T cells", "HIV/AIDS", "A型血", "60岁以上", "38℃以下", "below both ears"
    assert not exam.refers(dict(enumerate(others)))


def test_a_model_that_likes_a_letter_is_seen_and_one_that_reads_is_not():
    records = [turn for i in range(3) for turn in rotations(question("ABCD", "ABC"[i], id=f"q{i}"))]
    always_a = over_rotations(records, ["A"] * 12)
    # the answers A, B, C come to A in the rotations 0, 1, 2
    assert always_a == {
        "questions": 3, "accuracy": [1 / 3, 1 / 3, 1 / 3, 0], "spread": 1 / 3, "right in all": 0,
        "letters": {"A": 1, "B": 0, "C": 0, "D": 0}, "preference": 0.75}
    reads = over_rotations(records, [record["meta"]["answer"] for record in records])
    assert reads["accuracy"] == [1] * 4 and reads["preference"] == 0 and reads["right in all"] == 1
    assert over_rotations(records[:3], ["A"] * 3) is None                  # not one in all its rotations


# ---- examples

def test_examples_stand_before_the_question_and_never_are_it():
    record, other, same = question(), question(stem="糖尿病患者的首选检查", id="o"), question(id="s")
    third = question(stem="骨折患者如何固定", category="外科", id="t")
    same["messages"][0]["content"] = "高热患儿，首先应当做的处理是什么呢？\nA. 阿司匹林\nB．布洛芬\nC. 观察"
    record["messages"].insert(0, {"role": "system", "content": "医生"})
    shown = few_shot(record, [third, same, other], 2)["messages"]
    assert shown == [record["messages"][0], *other["messages"], *third["messages"], *record["messages"][1:]]
    with pytest.raises(ValueError, match="q: 2 examples that do not ask the same, 3 needed"):
        few_shot(record, [third, same, other], 3)


def test_stem():
    asked = "高热患儿，首先应当做的处理是 什么呢？\nB. 抽血\nA. 观察"
    assert stem(asked) == "高热患儿首先应当做的处理是什么呢"
    assert stem("Which is right?\nA. Yes\nB. No") == stem("which is right\nA. No\nB. Yes") != stem(
        "Which is right?\nA. Yes\nB. Never")
