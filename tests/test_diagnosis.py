"""Diagnoses: written answers read by hand first, names that are one, groups taken for others."""
import pytest

from clinicalgpt.diagnosis import confusion, in_top, known, names, normal, outcome


def record(label, *aliases, group="respiratory"):
    return {"meta": {"label": label, "aliases": list(aliases), "group": group}}


PNEUMONIA = record("肺炎", "Pneumonia", "肺部感染", "CAP")
DIABETES = record("2型糖尿病", "Type 2 diabetes mellitus", "T2DM", group="endocrine")
GOUT = record("Gout, unspecified", "慢性胃炎伴糜烂", "胆囊炎、胆石症", group="musculoskeletal")

OUTCOMES = [                                           # answer, record, outcome, in the top 3
    ("Pneumonia (fungal)", record("Pneumonia (viral)"), "wrong", False),
    ("Pneumonia (unlikely)", PNEUMONIA, "wrong", False),
    ("Hepatitis (HBV)", record("Hepatitis (HAV)"), "wrong", False),
    ("Hepatitis", record("Hepatitis (HAV)"), "right", True),
    ("Hepatitis A (HAV)", record("Hepatitis A"), "right", True),
    ("糖尿病(T2DM)", record("糖尿病(T1DM)"), "wrong", False),
    ("HER2- breast cancer", record("HER2+ breast cancer"), "wrong", False),
    ("HER2+ breast cancer", record("HER2-positive breast cancer"), "right", True),
    ("Pneumonia. The patient has right lower quadrant pain.", PNEUMONIA, "right", True),
    ("Pneumonia\n\nThe patient has fever.", PNEUMONIA, "right", True),
    ("The patient likely has pneumonia.", PNEUMONIA, "right", True),
    ("The patient has pneumonia.", PNEUMONIA, "right", True),
    ("肺炎", PNEUMONIA, "right", True),
    ("诊断：肺炎", PNEUMONIA, "right", True),
    ("诊断:肺炎。", PNEUMONIA, "right", True),
    ("初步诊断：肺炎", PNEUMONIA, "right", True),
    ("**诊断：**肺炎", PNEUMONIA, "right", True),
    ("【诊断】肺炎", PNEUMONIA, "right", True),
    ("#诊断结果#\n肺炎\n\n#诊断依据#\n1. 发热\n2. 咳嗽", PNEUMONIA, "right", True),
    ("诊断：肺部感染", PNEUMONIA, "right", True),
    ("诊断：ｐｎｅｕｍｏｎｉａ", PNEUMONIA, "right", True),
    ("Diagnosis: Pneumonia.", PNEUMONIA, "right", True),
    ("The most likely diagnosis is pneumonia.", PNEUMONIA, "right", True),
    ("The patient has fever and cough. The diagnosis is pneumonia.", PNEUMONIA, "right", True),
    ("The patient most likely has pneumonia.", PNEUMONIA, "right", True),
    ("患者的诊断是肺炎。", PNEUMONIA, "right", True),
    ("患者发热三天，考虑肺炎。", PNEUMONIA, "right", True),
    ("综上所述，最可能的诊断是肺炎。", PNEUMONIA, "right", True),
    ("患者咳嗽，考虑感染。诊断：肺炎。", PNEUMONIA, "right", True),
    ("诊断：肺炎。依据：发热、咳嗽，胸片示阴影。", PNEUMONIA, "right", True),
    ("诊断：肺炎，建议住院治疗。", PNEUMONIA, "right", True),
    ("诊断：肺炎\n鉴别诊断：肺结核、支气管炎", PNEUMONIA, "right", True),
    ("肺炎，建议及时就医。", PNEUMONIA, "right", True),
    ("抱歉，仅供参考。诊断：肺炎", PNEUMONIA, "right", True),
    ("诊断：肺炎（J18.9）", PNEUMONIA, "right", True),
    ("诊断：J18.900 肺炎", PNEUMONIA, "right", True),
    ("诊断：肺炎（CAP）", PNEUMONIA, "right", True),
    ("诊断：CAP", PNEUMONIA, "right", True),
    ("诊断：肺炎。诊断：肺炎。", PNEUMONIA, "right", True),
    ("诊断：肺炎（Pneumonia）", PNEUMONIA, "right", True),
    ("诊断：肺炎（肺结核）", PNEUMONIA, "wrong", False),
    ("诊断：1. 肺炎", PNEUMONIA, "right", True),
    ("Ⅱ型糖尿病", DIABETES, "right", True), ("II型糖尿病", DIABETES, "right", True),
    ("二型糖尿病", DIABETES, "right", True), ("２ 型糖尿病", DIABETES, "right", True),
    ("Type II diabetes mellitus", DIABETES, "right", True),
    ("type-2 diabetes mellitus", DIABETES, "right", True),
    ("Diagnosis: Type 2 Diabetes Mellitus (T2DM)", DIABETES, "right", True),
    ("诊断：Gout, unspecified", GOUT, "right", True), ("gout unspecified", GOUT, "right", True),
    ("诊断：慢性胃炎伴糜烂", GOUT, "right", True), ("诊断：胆囊炎、胆石症", GOUT, "right", True),
    ("诊断：胆囊炎", GOUT, "wrong", False), ("Gout", GOUT, "wrong", False),
    ("1型糖尿病", DIABETES, "wrong", False), ("Type III diabetes mellitus", DIABETES, "wrong", False),
    ("糖尿病", DIABETES, "wrong", False), ("2型糖尿病肾病", DIABETES, "wrong", False),
    ("诊断：支气管肺炎", PNEUMONIA, "wrong", False),
    ("不是肺炎", PNEUMONIA, "wrong", False), ("诊断：排除肺炎", PNEUMONIA, "wrong", False),
    ("诊断：肺结核。依据：不符合肺炎。", PNEUMONIA, "wrong", False),
    ("诊断：肺结核，建议及时就医。", PNEUMONIA, "wrong", False),
    ("肺结核\n鉴别诊断：肺炎", PNEUMONIA, "wrong", False),
    ("患者有发热、咳嗽。", PNEUMONIA, "wrong", False),
    ("肺炎或肺结核", PNEUMONIA, "wrong", True), ("诊断：肺结核、肺炎", PNEUMONIA, "wrong", True),
    ("诊断：肺炎和高血压", PNEUMONIA, "wrong", True), ("Pneumonia or tuberculosis", PNEUMONIA, "wrong", True),
    ("诊断：肺炎。最后诊断：肺结核。", PNEUMONIA, "wrong", True),
    ("1. 肺结核\n2. 肺炎\n3. 支气管炎", PNEUMONIA, "wrong", True),
    ("1. 肺结核 2. 肺炎 3. 支气管炎", PNEUMONIA, "wrong", True),
    ("诊断：\n1、肺结核。\n2、肺炎：有阴影。", PNEUMONIA, "wrong", True),
    ("诊断：(1) 肺结核；(2) 肺炎；(3) 支气管炎", PNEUMONIA, "wrong", True),
    ("①肺结核②支气管炎③肺炎", PNEUMONIA, "wrong", True),
    ("1. Asthma\n2. Gout, unspecified\n3. COPD", GOUT, "wrong", True),
    ("1. 高血压 2. 2型糖尿病 3. 肥胖", DIABETES, "wrong", True),
    ("1. 肺结核 2. 支气管炎 3. 哮喘 4. 肺炎", PNEUMONIA, "wrong", False),  # the fourth
    ("", PNEUMONIA, "empty", False), ("  \n。", PNEUMONIA, "empty", False),
    ("抱歉，我无法做出诊断。", PNEUMONIA, "refused", False), ("诊断：无法确定", PNEUMONIA, "refused", False),
    ("信息不足，请补充检查。", PNEUMONIA, "refused", False),
    ("我不是医生，建议您及时就医。", PNEUMONIA, "refused", False),
    ("建议到医院就诊", PNEUMONIA, "refused", False), ("作为AI，不能诊断肺炎。", PNEUMONIA, "refused", False),
    ("I am sorry, but I cannot provide a diagnosis.", PNEUMONIA, "refused", False),
    ("As an AI, I'm unable to diagnose pneumonia.", PNEUMONIA, "refused", False),
    ("Diagnosis: undetermined", PNEUMONIA, "refused", False),
    ("There is insufficient information.", PNEUMONIA, "refused", False),
    ("Please consult a doctor.", PNEUMONIA, "refused", False),
    ("应激性溃疡", record("应激性溃疡"), "right", True),
    ("诊断：反应性关节炎", record("反应性关节炎"), "right", True),
    ("诊断：高血压并发症", record("高血压并发症"), "right", True),
    ("考虑不周", PNEUMONIA, "wrong", False),
]


@pytest.mark.parametrize(("answer", "asked", "expected", "top"), OUTCOMES)
def test_outcome(answer, asked, expected, top):
    assert (outcome(answer, asked), in_top(answer, asked)) == (expected, top), names(answer, known(asked))


@pytest.mark.parametrize(("one", "other"), [
    ("Ⅰ型糖尿病", "1型糖尿病"), ("三度房室传导阻滞", "III度房室传导阻滞"), ("肾病综合症", "肾病综合征"),
    ("ＣＯＰＤ", "copd"),
    ("慢性 阻塞性-肺病", "慢性阻塞性肺病"), ("Crohn’s disease", "crohn's  Disease"),
    ("stage IV cancer", "Stage 4 cancer"),
    ("the common cold", "common cold"), ("J18.9", "j18.900"), ("J189", "J18.9x00"), ("I10", "I10.x00"),
    ("A09", "a09"), ("J18.9", "Ｊ18．9")])
def test_names_that_are_one(one, other):
    assert normal(one) == normal(other)


@pytest.mark.parametrize(("one", "other"), [
    ("J18.9", "J18"), ("J18.0", "J18.9"), ("J18.903", "J18.9"), ("I10.x00x002", "I10"), ("1型糖尿病", "2型"),
    ("I度烧伤", "II度烧伤"), ("vitamin C", "vitamin D"), ("肺炎", "肺部炎症"), ("iv", "4"), ("vi", "6")])
def test_names_that_are_not(one, other):
    assert normal(one) != normal(other)


def test_codes():
    coded = record("肺炎", "J18.9")
    assert all(outcome(f"诊断：{code}", coded) == "right" for code in ("J18.9", "J18.900", "j189"))
    assert outcome("J18.0", coded) == "wrong" and outcome("诊断：肺结核（J18.9）", coded) == "wrong"
    assert outcome("T12 fracture", record("fracture")) == "wrong"          # a vertebra
    assert outcome("诊断：高血压（I10）", record("高血压")) == "right"


def test_the_table_has_teeth():
    """What was done before: the answer contains the label; the whole answer after 诊断 equals it."""
    def wrong(of):
        return sum(of(answer, asked["meta"]["label"]) != (expected == "right")
                   for answer, asked, expected, _ in OUTCOMES)
    assert wrong(lambda answer, label: label in answer) > 20
    assert wrong(lambda answer, label: answer.removeprefix("诊断：").strip("。") == label) > 15


def test_confusion():
    records = [record("肺炎"), record("肺炎"), record("肺结核"), record("胃炎", group="digestive"),
               record("胃炎", group="digestive"), record("胃炎", group="digestive")]
    # the second by the label of the fourth record, the fifth by its words (支气管), the sixth by neither
    answers = ["诊断：肺炎", "胃炎", "无法诊断", "", "支气管扩张", "骨折"]
    assert confusion(records, answers) == {
        "respiratory": {"respiratory": 1, "digestive": 1, "refused": 1},
        "digestive": {"empty": 1, "respiratory": 1, "other": 1}}


def test_long_and_odd_answers_take_no_time():
    for part in ("诊断：", "1. ", "①", "(", "考虑", "肺炎、", "the diagnosis is ", "【诊断】", " "):
        outcome(part * 3000, PNEUMONIA)
