"""Health records as diagnosis records: the shared parts, and the converters on tiny releases written here."""
import json
import re
from datetime import date

import pytest

from data import health_records, prepare_records
from data.health_records import add_diagnosis, diagnoses, group_of, hide, other_names, sections
from data.releases import Sets, command
from tests.test_prepare_exams import asked_and_answered, converted, lines, refused  # noqa: F401 fixtures


def test_sections_by_chinese_and_english_headings():
    text = ("主诉：咳嗽3天。现病史：受凉后起病，\n自服药物。既往史：体健。初步诊断：肺炎\n"
            "查体：湿啰音\n【辅助检查】：白细胞高")
    assert sections(text) == {"complaint": "咳嗽3天。", "illness": "受凉后起病，\n自服药物。",
                              "history": "体健。", "examination": "湿啰音", "tests": "白细胞高"}
    text = ("**Patient Information:**\n- Age: 7 years\n**Chief Complaint:** Cough\n"
            "Present Illness History: \nFor a day.\nPhysical Examination:\n- Lungs: clear\n"
            "Diagnosis Impression: Flu\nExamination Report: None\nExamination Reports: None")
    assert sections(text) == {"information": "Age: 7 years", "complaint": "Cough", "illness": "For a day.",
                              "examination": "Lungs: clear", "tests": "None"}
    assert sections("发热一天") == {"text": "发热一天"}


@pytest.mark.parametrize("text, names", [
    ("1. 急性胃炎（轻度） 2. 贫血", ["急性胃炎（轻度）", "贫血"]),
    ("1.肺炎2.高血压病3级", ["肺炎", "高血压病3级"]), ("\n1. 肺炎\n2. 贫血。\n", ["肺炎", "贫血"]),
    ("1、腰4、5椎间盘突出 2、肝癌", ["腰4、5椎间盘突出", "肝癌"]), ("1.5型糖尿病", ["1.5型糖尿病"]),
    ("1.2型糖尿病；2.高血压病2级", ["2型糖尿病", "高血压病2级"]), ("1.1型糖尿病", ["1型糖尿病"]),
    ("①肺炎②贫血", ["肺炎", "贫血"]), ("(1)肺炎；(2)2型糖尿病", ["肺炎", "2型糖尿病"]),
    ("1）肺炎 2）贫血", ["肺炎", "贫血"]), ("肺炎（1）", ["肺炎（1）"]),
    ("肺炎，贫血（缺铁，轻度）", ["肺炎", "贫血（缺铁，轻度）"]), ("1. Gout 2. Anemia", ["Gout", "Anemia"]),
    ("Gout, unspecified; anemia", ["Gout, unspecified", "anemia"]), ("", []),
])
def test_diagnoses_principal_one_first(text, names):
    assert diagnoses(text) == names


@pytest.mark.parametrize("names, case, hidden", [
    (["急性肺炎（右侧）"], "胸片提示肺炎，诊断为急性肺炎。有痰", "胸片提示，。有痰"),
    (["右肺癌伴转移"], "查见肺癌与右肺癌", "查见与"),
    (["肺炎"], "肺" * 9 + "炎" * 9, ""), (["痣"], "痣凸起", "凸起"),
    (["Acute Gastritis"], "CT: acute  gastritis. No gastritis-like\ngastritis, x", "CT: . No -like\n, x"),
    (["Gastritis"], "Epigastritis and gastritisx", "Epigastritis and gastritisx"),
    (["Hirschsprung’s disease"], "compatible with Hirschsprung's disease.", "compatible with."),
    (["Acute lymphoblastic leukemia", "ALL"], "all cells; ALL suspected", "all cells; suspected"),
    (["Gout"], "She was diagnosed with gout in 2010, and was well.", "She was, and was well."),
    (["COPD"], "患COPD多年", "患多年"), (["Cyst (renal) [left"], "a cyst (renal) [left kidney", "a kidney"),
])
def test_hide(names, case, hidden):
    assert re.sub(" (?=[.;])", "", hide(names, case)) == re.sub(" (?=[.;])", "", hidden)


def test_the_check_of_hide_has_teeth(monkeypatch):
    monkeypatch.setattr(health_records, "remove", lambda name, case: case.replace(name, ""))
    with pytest.raises(AssertionError):
        test_hide(["Acute Gastritis"], "acute gastritis", "")


def test_other_names():
    assert other_names("Heart failure (HF)") == ["Heart failure", "HF"]
    assert other_names("Cyst (left side)") == ["Cyst"] and other_names("急性肺炎（右侧）") == ["急性肺炎"]
    assert other_names("肺炎") == []


def test_the_22_chapters_of_icd_10_begin_and_end_where_the_book_says():
    chapters = """A00 B99 infectious, C00 D48 neoplasms, D50 D89 hematology, E00 E90 endocrine,
        F00 F99 psychiatry, G00 G99 neurology, H00 H59 eye, H60 H95 ear, I00 I99 circulatory,
        J00 J99 respiratory, K00 K93 digestive, L00 L99 skin, M00 M99 musculoskeletal,
        N00 N99 genitourinary, O00 O99 pregnancy, P00 P96 perinatal, Q00 Q99 congenital, R00 R99 symptoms,
        S00 T98 injury, V01 Y98 external, Z00 Z99 contact, U00 U99 special"""
    ranges = [chapter.split() for chapter in chapters.split(",")]
    assert len(ranges) == 22 == len({name for *_, name in ranges})
    for first, last, name in ranges:
        assert group_of("", first) == group_of("", f"{last}.9") == group_of("", f"{last.lower()}00") == name


def test_group_by_words_where_there_is_no_code():
    assert group_of("支气管肺炎") == group_of("Bronchiectasis") == "respiratory"
    assert group_of("支气管肺炎", "486") == group_of("支气管肺炎", "M8000/3") == "respiratory"
    assert group_of("Chronic kidney failure") == "urinary"
    assert group_of("皮疹") == group_of("Vitiligo") == "other"
    assert group_of("支气管肺炎", "I10") == "circulatory", "the code decides"


CASE = "患者三天前受凉后出现咳嗽、咳痰，伴发热，体温三十八度五，无胸痛。"
ENGLISH = ("For three days cough with sputum and a fever of 38 degrees. No chest pain. Smokes. "
           "Was well before, went nowhere.")


def test_add_diagnosis_writes_sections_in_order_and_refuses_what_says_nothing():
    sets = Sets("x")
    parts = {"tests": "提示肺炎", "complaint": "咳嗽", "illness": CASE}
    add_diagnosis(sets, "test", "1", parts, "肺炎", ["", "肺炎"])
    add_diagnosis(sets, "test", "2", {"examination": "Flu? Rales", "text": ENGLISH}, "Flu", icd="J11.1")
    unusable = [(CASE, ""), ("肺炎" * 20 + "咳嗽", "肺炎"), ("Cough " * 9, "Flu"), (CASE, "肺" * 201)]
    for id, (text, label) in enumerate(unusable):
        assert add_diagnosis(sets, "test", f"d{id}", {"text": text}, label) is None
    first, second = sets.records["test"]
    assert asked_and_answered(first) == [
        f"主诉：咳嗽\n现病史：{CASE}\n辅助检查：提示\n请根据病历给出诊断。", "诊断：肺炎"]
    assert first["meta"] == {"label": "肺炎", "group": "respiratory", "aliases": []}
    assert asked_and_answered(second) == [
        f"{ENGLISH}\nPhysical examination: ? Rales\nPlease give the diagnosis for this record.",
        "Diagnosis: Flu"]
    assert sets.dropped == {"no diagnosis named": 1, "little but the diagnosis": 2,
                            "diagnosis over 200 characters": 1}


def symptoms(id, explicit, implicit, disease):
    return {"id": id, "explicit_symptoms": explicit, "implicit_symptoms": implicit,
            "candidate_diseases": ["肺炎", "流感"], "disease": disease}


def test_dxbench_tells_present_and_absent_symptoms_and_not_the_disease(converted):  # noqa: F811
    sets, counts = converted("dxbench", {"evaluation/DxBench_zh.json": json.dumps([
        symptoms("DxBench_1", [["发热", "True"], ["怀疑流感", "True"]],
                 [["胸痛", "False"], ["咳嗽", "True"], ["咳痰", "True"]], "流感"),
        symptoms("DxBench_2", [["流感", "True"]], [], "流感")]),
        "evaluation/Muzhi_zh.json": json.dumps([symptoms("Muzhi_1", [["头痛", "False"]], [], "肺炎")])})
    records = {record["id"]: record for kind in sets.values() for record in kind}
    assert asked_and_answered(records["dxbench-DxBench_1"]) == [
        "主诉：有发热\n现病史：有咳嗽、咳痰；没有胸痛\n请根据病历给出诊断。", "诊断：流感"]
    assert asked_and_answered(records["dxbench-Muzhi_1"])[0] == "主诉：没有头痛\n请根据病历给出诊断。"
    assert records["dxbench-Muzhi_1"]["meta"] == {"label": "肺炎", "group": "respiratory", "aliases": []}
    assert "little but the diagnosis 1" in counts and len(records) == 2


def test_medfound(converted):  # noqa: F811
    context = f"Chief Complaint: Heart failure, feels bad. AHF\nPresent Illness: {ENGLISH}"
    record = {"qid": "7", "context": context,
              "diagnosis": "Acute heart failure (AHF)", "diagnosis_code": "I50.900"}
    sets, _ = converted("medfound", {"data/test.jsonl": lines(record)})
    (made,), = sets.values()
    assert asked_and_answered(made) == [
        f"Chief complaint: feels bad.\nPresent illness: {ENGLISH}\n"
        "Please give the diagnosis for this record.", "Diagnosis: Acute heart failure (AHF)"]
    assert made["meta"] == {"label": "Acute heart failure (AHF)", "group": "circulatory",
                            "aliases": ["Acute heart failure", "AHF"]}


def clinic(**more):
    return {"OSCE_Examination": {
        "Objective_for_Doctor": "Find the gout.", "Correct_Diagnosis": "Gout",
        "Patient_Actor": {"Demographics": "50-year-old man", "History": ENGLISH,
                          "Past_Medical_History": "None",
                          "Symptoms": {"Primary_Symptom": "Toe pain",
                                       "Secondary_Symptoms": ["Redness", "Ache"]},
                          "Social_History": "Drinks"},
        "Physical_Examination_Findings": {"Vital_Signs": {"Temperature": "38", "Heart_Rate": 90},
                                          "Toe": "Red"},
        "Test_Results": {"Fluid": {"Crystals": "As in gout"}}, **more}}


def test_agentclinic(converted):  # noqa: F811
    sets, _ = converted("agentclinic", {"agentclinic_medqa_extended.jsonl": lines(clinic()),
                                        "agentclinic_mimiciv.jsonl": "not read"})
    (made,), = sets.values()
    assert asked_and_answered(made)[0] == (
        "Patient information: 50-year-old man\nChief complaint: Primary Symptom: Toe pain\n"
        f"Secondary Symptoms: Redness, Ache\nPresent illness: {ENGLISH}\nPast history: None\n"
        "Social History: Drinks\nPhysical examination: Vital Signs: Temperature: 38; Heart Rate: 90\n"
        "Toe: Red\nAuxiliary examination: Fluid: Crystals: As in\nPlease give the diagnosis for this record.")


def syndrome(id, label="气虚血瘀证"):
    return {"example_id": id, "chief_complaint": "头晕三天", "medical_history": f"{CASE}中医辨证气虚血瘀证。",
            "FDMR": "舌淡", "lcd_name": "肺胀病", "syndrome": "气虚瘀阻证", "norm_syndrome": label}


def test_tcm_sd_keeps_its_own_split(converted):  # noqa: F811
    sets, _ = converted("tcm_sd", {"train.json": lines(syndrome("1")),
                                   "test.json": lines(syndrome("2", "气阴两虚证"))})
    assert asked_and_answered(sets["train"][0]) == [
        f"主诉：头晕三天\n现病史：{CASE}中医辨证。\n体格检查：舌淡\n请根据病历给出中医证候诊断。",
        "诊断：气虚血瘀证"]
    assert sets["train"][0]["meta"] == {"label": "气虚血瘀证", "group": "respiratory",
                                        "aliases": ["气虚瘀阻证"]}
    assert [record["id"] for record in sets["test"]] == ["tcm_sd-2"]


def test_records_by_column_names(converted):  # noqa: F811
    header = "病人,性别,年龄,主诉,现病史,出院诊断,编码\n"
    rows = "".join(f"p{i % 9},女,{30 + i},咳嗽{i}天,{CASE}诊断为肺炎。,1. 急性肺炎 2. 贫血,J18.900\n"
                   for i in range(90))
    sets, counts = converted(
        "records", {"a.csv": f"{header}{rows}p0,男,1,{CASE},无,,\n"}, "ward", name="ward", icd="编码",
        information="性别,年龄", complaint="主诉", illness="现病史", diagnosis="出院诊断", patient="病人")
    patients = {kind: {int(re.search("咳嗽(.*?)天", str(record))[1]) % 9 for record in records}
                for kind, records in sets.items()}
    assert sum(map(len, patients.values())) == 9 and len(patients) > 1, "a patient is in two sets"
    first = next(record for kind in sets.values() for record in kind if "咳嗽5天" in str(record))
    assert asked_and_answered(first) == [
        f"基本信息：性别：女\n年龄：35\n主诉：咳嗽5天\n现病史：{CASE}。\n请根据病历给出诊断。",
        "诊断：急性肺炎"]
    assert first["meta"] == {"label": "急性肺炎", "group": "respiratory", "aliases": []}
    assert "p5" not in json.dumps(first) and "no diagnosis named 1" in counts


def test_records_reads_the_field_names_of_its_own_format_and_one_text(converted):  # noqa: F811
    own = [{"chief_complaint": "咳嗽", "present_illness": CASE, "diagnosis": ["肺炎", "贫血"], "group": "甲"},
           {"context": f"主诉：咳嗽\n现病史：{CASE}\n诊断：流感", "diagnosis": "流感", "icd": None},
           {"context": CASE, "diagnosis": float("nan")}]
    sets, counts = converted("records", {"a.jsonl": lines(*own)}, name="records", icd="")
    made = {record["meta"]["label"]: record for kind in sets.values() for record in kind}
    question = f"主诉：咳嗽\n现病史：{CASE}\n请根据病历给出诊断。"
    assert [asked_and_answered(made[label])[0] for label in ("肺炎", "流感")] == [question, question]
    assert len(made) == 2
    assert made["肺炎"]["meta"]["group"] == "甲" and "no diagnosis named 1" in counts


@pytest.mark.parametrize("name, file, content, flags, fault", [
    ("records", "a.csv", f"主诉,诊断\n{CASE},肺炎\n", {"complaint": "主诉"}, "has a column 'diagnosis'"),
    ("records", "a.csv", f"主诉,诊断\n{CASE},肺炎\n", {"illness": "主述", "diagnosis": "诊断"}, "'主述'"),
    ("records", "a.csv", f"context,diagnosis,icd\n{CASE},肺炎,486\n", {}, "of ICD-10 (the first: '486')"),
    ("records", "a.jsonl", lines({"context": {"a": 1}, "diagnosis": "肺炎"}), {}, ".jsonl:1: 'context' hold"),
    ("records", "a.csv", f"context,diagnosis\n{CASE},肺炎\n", {"name": "../x"}, "--name ../x: should be"),
    ("records", "a.txt", "", {}, "no *.jsonl or *.json or *.csv in it"),
    ("dxbench", "DxBench_zh.json", json.dumps([symptoms("1", [["热", "Maybe"]], [], "流感")]), {},
     "json:1: 'explicit_symptoms' should be pairs"),
    ("dxbench", "Muzhi_zh.json", json.dumps([symptoms("1", ["热"], [], "流感")]), {}, "json:1: 'explicit_s"),
    ("medfound", "test.jsonl", lines({"qid": 7}), {}, "test.jsonl:1: no text 'qid' (found int)"),
    ("agentclinic", "agentclinic_medqa.jsonl", lines(clinic(Correct_Diagnosis=None)), {}, ":1: no text 'Cor"),
    ("agentclinic", "agentclinic_medqa.jsonl",
     lines(clinic(Test_Results=json.loads('{"a":' * 90 + "1" + "}" * 90))), {}, ":1: more than 8 objects"),
    ("tcm_sd", "train.json", lines({"example_id": "1"}), {}, "train.json:1: no text 'chief_complaint'"),
])
def test_damage_is_named_and_nothing_is_written(refused, name, file, content, flags, fault):  # noqa: F811
    assert fault in refused(name, {file: content}, **flags)


@pytest.mark.parametrize("label", ["(" * 100_000, "肺（" * 50_000, "a, " * 40_000, "1." * 50_000, " " * 999])
def test_a_huge_diagnosis_takes_no_time(label):
    names = diagnoses(label) or [label]
    hide([names[0][:200], *other_names(names[0])], " " * 100_000 + "x" + "*" * 100_000)
    sections("主诉 " * 30_000 + "* " * 50_000)


def test_all_of_a_patient_moves_by_the_same_days(tmp_path, capsys):
    """Two admissions stay 70 days apart; another patient's date moves by other days."""
    def case(patient, day, complaint):
        return {"patient": patient, "diagnosis": "肺炎", "chief_complaint":
                f"{complaint}。患者张伟于{day}入院，受凉后咳嗽咳痰，伴有发热、胸痛，乏力明显，食欲不佳。"}
    path = tmp_path / "ward.jsonl"
    path.write_text(lines(case("7", "2023年5月6日", "咳嗽"), case("7", "2023年7月15日", "发热"),
                          case("8", "2023年5月6日", "胸痛")), encoding="utf-8")
    command("records", prepare_records.convert, [str(path), "--out", str(tmp_path / "out")],
            patient=dict(default=""))
    assert "date 3, name 3" in capsys.readouterr().out
    said = {}
    for file in (tmp_path / "out").iterdir():
        for record in file.read_text(encoding="utf-8").splitlines():
            text = json.loads(record)["messages"][0]["content"]
            name, *day = re.search(r"患者(.+?)于(\d+)年(\d+)月(\d+)日", text).groups()
            said[re.search("：(.*?)。", text)[1]] = name, date(*map(int, day))
    assert (said["发热"][1] - said["咳嗽"][1]).days == 70 and said["发热"][0] == said["咳嗽"][0] != "张伟"
    assert said["胸痛"][1] != said["咳嗽"][1]


def test_names_in_a_column_are_replaced_in_the_text(tmp_path, capsys):
    """和谐畅 has no word beside it and characters that no name has: only the column can tell."""
    path = tmp_path / "ward.jsonl"
    case = {"diagnosis": "肺炎", "chief_complaint": f"咳嗽，{CASE}今和谐畅复诊", "姓名": "和谐畅、"}
    path.write_text(lines(case), encoding="utf-8")
    for columns, said in ({}, True), ({"persons": dict(default="姓名")}, False):
        command("records", prepare_records.convert, [str(path), "--out", str(tmp_path / "out")], **columns)
        text, = [file.read_text(encoding="utf-8") for file in (tmp_path / "out").iterdir()]
        assert ("和谐畅" in text) == said
