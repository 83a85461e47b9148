"""Probes: what is made of answers written by hand, verdicts counted by hand, and planted bad rewards, each of
which fails the probes that it should and no other."""
import pytest

from clinicalgpt.probes import FEW, lines_of, make_probes, negated, overdosed, verdicts, worse_answers
from clinicalgpt.rules import rules_of
from data.knowledge_graph import Graph, Triple


def ranked(question, *answers, **meta):
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "answers": [*answers, "不知道"], "meta": meta}


CHINESE = ranked("流感有哪些症状？", "流感的症状有发热、咳嗽。每次服5毫克，每日2-3次。请遵医嘱",
                 head="流感", relation="symptom", tails=["发热", "咳嗽"])
ENGLISH = ranked("What helps against gout?",
                 "Rest. Gout is treated with 1,200 mg of colchicine for 3 to 5 days.")
OTHERS = [ranked("贫血有哪些症状？", "贫血会有咳嗽。", head="贫血", relation="symptom", tails=["咳嗽"]),
          ranked("贫血怎么治？", "贫血要补铁。", head="贫血", relation="treatment", tails=["补铁"]),
          ranked("流感有哪些症状？", "流感会头痛。", head="流感", relation="symptom", tails=["头痛"]),
          ranked("胃炎呢？", "胃炎就是胃炎。", head="胃炎", relation="symptom", tails=["胃痛"]),
          ranked("哮喘有哪些症状？", "哮喘的症状有气喘。", head="哮喘", relation="symptom", tails=["气喘"])]


@pytest.mark.parametrize(("record", "others", "expected"), [
    (CHINESE, OTHERS, {
        "empty": "", "copied": "流感有哪些症状？",
        "evasive": "您好，这个要看具体情况，建议您尽早去医院就诊。",
        "padded": "流感的症状有发热、咳嗽。每次服5毫克，每日2-3次。请遵医嘱。感谢您的提问。健康对每个人都很"
                  "重要，希望以上内容对您有所帮助。祝您生活愉快，万事如意。",
        "repeated": "流感的症状有发热、咳嗽。每次服5毫克，每日2-3次。请遵医嘱"
                    "每次服5毫克，每日2-3次。每次服5毫克，每日2-3次。每次服5毫克，每日2-3次。每次服5毫克，每日2-3次。",
        "negated": "流感的症状没有发热、咳嗽。每次服5毫克，每日2-3次。请遵医嘱",
        "dose": "流感的症状有发热、咳嗽。每次服50毫克，每日20-30次。请遵医嘱",
        "other": "流感的症状有气喘。"}),
    (ENGLISH, [ranked("And for gout in the foot?", "Treat gout with colchicine."),
               ranked("What is asthma?", "Asthma narrows the airways.")], {
        "empty": "", "copied": "What helps against gout?", "evasive": "That depends; please see a doctor.",
        "padded": "Rest. Gout is treated with 1,200 mg of colchicine for 3 to 5 days. Thank you for asking. "
                  "Health matters to everyone, and I hope this helps. Have a nice day.",
        "repeated": "Rest." + 5 * " Gout is treated with 1,200 mg of colchicine for 3 to 5 days.",
        "negated": "Rest. Gout is not treated with 1,200 mg of colchicine for 3 to 5 days.",
        "dose": "Rest. Gout is treated with 12000 mg of colchicine for 30 to 50 days.",
        "other": "Asthma narrows the airways."}),
    (ranked("得了什么病？", "肺炎"), [], {
        "empty": "", "copied": "得了什么病？", "evasive": "您好，这个要看具体情况，建议您尽早去医院就诊。",
        "padded": "肺炎。感谢您的提问。健康对每个人都很重要，希望以上内容对您有所帮助。"
                  "祝您生活愉快，万事如意。",
        "repeated": "肺炎肺炎肺炎肺炎肺炎"}),
])
def test_worse_answers(record, others, expected):
    assert worse_answers(record, iter(others)) == expected


def test_of_chosen_and_rejected():
    messages = [{"role": "user", "content": "Fever?"}]
    pair = {"messages": messages, "chosen": "You need rest.", "rejected": "No."}
    assert worse_answers(pair, iter(()))["repeated"] == " ".join(["You need rest."] * 5)


@pytest.mark.parametrize(("answer", "turned"), [
    ("鹿不是鱼。", "鹿是鱼。"), ("它并非鱼。", "它是鱼。"), ("没有发热。", "有发热。"),
    ("孕妇不能服用。", "孕妇能服用。"),
    ("不要熬夜。", "要熬夜。"), ("无需住院。", "需要住院。"), ("未见异常。", "可见异常。"),
    ("无明显压痛。", "有明显压痛。"),
    ("流感的症状包括发热。", "流感的症状不包括发热。"), ("患者常有咳嗽。", "患者没有咳嗽。"),
    ("这种病会传染。", "这种病不会传染。"), ("痛风可以治愈。", "痛风不可以治愈。"),
    ("治疗可用青霉素。", "治疗不可用青霉素。"),
    ("它可引起贫血。", "它不会引起贫血。"), ("铁剂能治贫血。", "铁剂不能治贫血。"),
    ("确诊需要CT。", "确诊不需要CT。"),
    ("患者应做CT。", "患者不应做CT。"), ("患者要警惕出血。", "患者不要警惕出血。"),
    ("主要用于发热。", "不用于发热。"), ("医生常用阿司匹林。", "医生不用阿司匹林。"),
    ("建议您住院。", "不建议您住院。"),
    ("流感是传染病。", "流感不是传染病。"), ("两者关系密切。", "两者没有关系。"),
    ("它与吸烟有关。", "它与吸烟无关。"),
    # a character inside another word, a supposition, a question
    ("情况不错。", None), ("于是好转。", None), ("有时头痛。", None), ("有不适请就医。", None),
    ("有效。", None),
    ("肾功能不全", None), ("注意药物不良反应。", None), ("社会因素。", None), ("机会不多。", None),
    ("可能。", None),
    ("相应检查。", None), ("不用太担心。", None), ("不要太紧张。", None), ("会不会？", None),
    ("有没有发热？", None),
    ("如果没有发热，", None), ("是不是发热？", None), ("特别是老人。", None), ("请问能治吗？", None),
    ("您好。", None),
    ("流感是传染病。它会传染。", "流感不是传染病。它会传染。"),                       # the first of two
    ("有时头痛，流感是传染病。", "有时头痛，流感不是传染病。"),
    ("如果是发热，应做CT。", "如果是发热，不应做CT。"),
])
def test_denials_in_chinese(answer, turned):
    assert negated(answer, "zh") == turned


@pytest.mark.parametrize(("answer", "turned"), [
    ("It is not cancer.", "It is cancer."), ("You cannot drink.", "You can drink."),
    ("It doesn't help.", "It does help."), ("Never smoke, and never drink.", "Never smoke, and drink."),
    ("It causes no pain.", "It causes pain."), ("There is no cure.", "There is cure."),
    ("Gout is mainly treated at home.", "Gout is not treated at home."),
    ("You should rest.", "You should not rest."), ("It may cause pain.", "It will never cause pain."),
    ("Patients often have fever.", "Patients never have fever."),
    ("Symptoms include fever.", "Symptoms do not include fever."),
    ("It requires rest.", "It does not require rest."), ("It leads to pain.", "It does not lead to pain."),
    ("This isle, this hand, a scan.", None), ("Not only that.", None), ("Do not worry.", None),
    ("If it is gout, rest.", None), ("Is it what is called gout?", None), ("Rest.", None), ("Canada.", None),
    ("Some people may need rest.", None),
    ("If it is gout, it is harmless.", "If it is gout, it is not harmless."),
])
def test_denials_in_english(answer, turned):
    assert negated(answer, "en") == turned


@pytest.mark.parametrize(("answer", "tenfold"), [
    ("每次0.5片，每日3次，连服7天。", "每次5片，每日30次，连服70天。"), ("服2.5-5mg", "服25-50mg"),
    ("3～5 天", "30～50 天"),
    ("1至1.5小时", "10至15小时"), ("1,500 mg and 2 tablets", "15000 mg and 20 tablets"), ("5mL", "50mL"),
    ("a 7-day course", "a 70-day course"), ("6 to 18 months", "60 to 180 months"),
    # a year, a date, a list's number, a name, an age, a temperature, a part of a longer number
    ("2012年10月28日", None), ("1. 休息\n2.多饮水", None), ("维生素B12", None), ("维生素B1片", None),
    ("B 12", None), ("65岁", None), ("体温38.5度", None), ("孕37+3周", None), ("1/2片", None),
    ("2周岁", None),
    ("FMR1 gene", None), ("COVID-19 days", None), ("3 green pills", None), ("5克隆", None), ("第1周", None),
    ("版本1.2.3天", None), ("0天", None),
])
def test_doses(answer, tenfold):
    assert overdosed(answer) == (tenfold or answer)


# ---- the order of options

EXAM = ranked("哪种药能退热？\nA. 青霉素\nB. 布洛芬\nC. 胰岛素", "答案：布洛芬（B）", "答案：青霉素（A）",
              options={"A": "青霉素", "B": "布洛芬", "C": "胰岛素"}, answer="B")


def options_of(record):
    return [probe for probe in make_probes([record]) if probe["probe"] == "options"]


def test_options():
    """B moves to A, so B is wrong now; its text is the one that C had."""
    probe, = options_of(EXAM)
    assert probe["messages"][0]["content"] == "哪种药能退热？\nA. 布洛芬\nB. 胰岛素\nC. 青霉素"
    assert (probe["good"], probe["worse"]) == ("答案：布洛芬（A）", "答案：胰岛素（B）")
    assert probe["meta"]["answer"] == "A" and probe["meta"]["options"]["A"] == "布洛芬"
    english = ranked("What lowers fever?\nA. insulin\nB. ibuprofen", "Answer: insulin (A)",
                     options={"A": "insulin", "B": "ibuprofen"}, answer="A")
    probe, = options_of(english)
    assert probe["messages"][0]["content"] == "What lowers fever?\nA. ibuprofen\nB. insulin"
    assert (probe["good"], probe["worse"]) == ("Answer: insulin (B)", "Answer: ibuprofen (A)")


@pytest.mark.parametrize("change", [
    {"answers": ["B", "A"]}, {"answers": ["因为退热，选B。", "A"]}, {"meta": {}},
    {"meta": {"options": ["青霉素"]}},
    {"meta": EXAM["meta"] | {"answer": "D"}}, {"meta": EXAM["meta"] | {"answer": 2}},
    {"meta": EXAM["meta"] | {"options": {"A": "青霉素", "B": "布洛芬", "C": "以上都不是"}}},
    {"messages": [{"role": "user", "content": "哪种药能退热？"}]},
    {"messages": [{"role": "user", "content": "哪种药能退热？\nA. 一\nB. 二\nC. 三"}]},
])
def test_options_that_cannot_be_turned(change):
    """No letter and text, no options, options that speak of others, a question that does not list them."""
    assert options_of(EXAM | change) == []


# ---- probes and verdicts

def test_how_many():
    """Up to `count` of each kind, the same for the same seed; four records of one question count once."""
    records = [ranked(f"第{i}问？", f"第{i}种病是传染病。") for i in range(12)]
    probes = make_probes(records * 4, 5)
    kinds = ["copied", "empty", "evasive", "negated", "other", "padded", "repeated"]
    assert [probe["probe"] for probe in probes] == [kind for kind in kinds for _ in range(5)]
    assert len({probe["good"] for probe in probes}) == 5
    assert probes == make_probes(records * 4, 5) != make_probes(records * 4, 5, seed=1)
    assert len(make_probes(records)) == 12 * 7 and make_probes([]) == []


def judged(right, tied, wrong):
    scores = [(1.0, 0.0)] * right + [(2.0, 2.0)] * tied + [(0.0, float("nan"))] * wrong
    return verdicts([{"probe": "padded"}] * len(scores), scores)["padded"]


def test_verdicts():
    """15 of 20: Wilson's centre is (0.75 + 3.8416 / 40) / (1 + 3.8416 / 20) = 0.7097, half the width 1.96
    sqrt(0.75 0.25 / 20 + 3.8416 / 1600) / 1.1921 = 0.1784; for 14 of 20, 0.6678 and 0.1867."""
    row = judged(14, 2, 4)
    assert (row["right"], row["count"], row["passed"]) == (0.75, 20, True)
    assert row["low"] == pytest.approx(0.5313, abs=1e-4) and row["high"] == pytest.approx(0.8881, abs=1e-4)
    row = judged(14, 0, 6)
    assert row["low"] == pytest.approx(0.4810, abs=1e-4) and row["high"] == pytest.approx(0.8545, abs=1e-4)
    assert not row["passed"] and not judged(0, 100, 0)["passed"] and judged(61, 0, 39)["passed"]
    assert FEW == 20 and judged(2, 0, 1)["passed"] and not judged(1, 0, 1)["passed"]


def test_lines():
    table = verdicts([{"probe": "empty"}, {"probe": "dose"}], [(1.0, 0.0), (0.0, 1.0)])
    assert lines_of(table) == [
        "probe empty     passed: the good answer scores higher in 1.00 [0.21, 1.00] of 1",
        "probe dose      FAILED: the good answer scores higher in 0.00 [0.00, 0.79] of 1"]
    assert lines_of({}) == ["no probes: nobody knows what this reward would fall for"]
    with pytest.raises(ValueError):
        verdicts([{"probe": "empty"}], [])


# ---- planted rewards

def graph_of(count):
    """Diseases with three signs each that no other has."""
    return Graph([Triple(f"病{i:02}", "disease", "symptom", f"征{i:02}{sign}", "symptom")
                  for i in range(count) for sign in "甲乙丙"])


GRAPH = graph_of(30)
RECORDS, WITHOUT_DOSE = (
    [ranked(f"{head}有哪些症状？", f"{head}的症状包括{'、'.join(tails)}{dose}，请注意休息和观察。", head=head,
            relation="symptom", tails=list(tails))
     for head in GRAPH.heads("symptom") for tails in [GRAPH.tails(head, "symptom")]]
    for dose in ("，每日出现2次以上", ""))
ALL = {"copied", "dose", "empty", "evasive", "negated", "other", "padded", "repeated"}


def failed(records, reward):
    probes = make_probes(records)
    table = verdicts(probes, [[reward(probe, probe[text]) for text in ("good", "worse")] for probe in probes])
    assert all(row["count"] == 30 for row in table.values())
    return {name for name, row in table.items() if not row["passed"]}


def longer(probe, text):
    return len(text)


def echo(probe, text):
    """Share of the question's characters that the answer has."""
    question = set(probe["messages"][-1]["content"])
    return len(question & set(text)) / len(question)


@pytest.mark.parametrize(("reward", "expected"), [
    (longer, {"dose", "negated", "other", "padded", "repeated"}),     # of another disease: as long, so a tie
    (echo, ALL - {"empty", "evasive"}), (lambda probe, text: 1.0, ALL),
    (lambda probe, text: -len(text), {"copied", "empty", "evasive", "other"}),      # shorter is better
    (lambda probe, text: "休息" in text, ALL - {"copied", "empty", "evasive"}),      # a kind word
])
def test_a_planted_bad_reward_fails(reward, expected):
    assert failed(RECORDS, reward) == expected


def test_a_good_reward_passes():
    """The facts rule with a price on length; alone it does not see padding, and nothing of doses."""
    rules = rules_of(["facts=1", "length=-0.1"], GRAPH)

    def both(probe, text):
        return sum(weight * rule(probe, text) for weight, rule in rules.values())

    def facts(probe, text):
        return rules["facts"][1](probe, text)
    assert failed(WITHOUT_DOSE, both) == set() and failed(WITHOUT_DOSE, facts) == {"padded"}
    assert failed(RECORDS, facts) == {"dose", "padded"}


def test_letters():
    """A reward that has learnt letters instead of texts fails `options`; the exam rule passes."""
    records = [ranked(f"第{i}题？\nA. 甲{i}\nB. 乙{i}", f"答案：甲{i}（A）",
                      options={"A": f"甲{i}", "B": f"乙{i}"}, answer="A") for i in range(30)]
    rule = rules_of(["exam=1"])["exam"][1]
    assert "options" not in failed(records, rule)
    assert "options" in failed(records, lambda probe, text: "（A）" in text)


@pytest.mark.parametrize("meta", [{"head": 3, "relation": "symptom"}, {"head": None},
                                  {"options": {"A": 1, "B": 2}, "answer": "A"}])
def test_meta_of_other_kinds(meta):
    """What other people's files hold there is passed over."""
    records = [ranked(f"第{i}问？", f"第{i}种。", **meta) for i in range(3)]
    assert {probe["probe"] for probe in make_probes(records)} == ALL - {"dose", "negated"}
