"""The converters of conversations and of MEDIQA, on tiny releases written here, sound and damaged."""
import importlib
import json

import pytest

from data.dialogue import by_turns
from data.releases import command

TURNS = [("user", "咳嗽三天"), ("assistant", "有痰吗"), ("user", "没有"), ("assistant", "喝水")]


def convert(name, release, out, *flags, limit=1500):
    module = importlib.import_module(f"data.prepare_{name}")
    command(name, module.convert, [str(release), "--out", str(out), *flags], max_chars=limit)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def converted(tmp_path, capsys):
    """A function: name, {file: content} -> all records with their set, and the line of counts."""
    def run(name, files, *flags, limit=1500):
        for file, content in files.items():
            put(tmp_path / name / file, content)
        convert(name, tmp_path / name, tmp_path / "out", *flags, limit=limit)
        records = [(path.stem.removeprefix(f"{name}_"), json.loads(line))
                   for path in sorted((tmp_path / "out").iterdir())
                   for line in path.read_text(encoding="utf-8").splitlines()]
        return records, capsys.readouterr().out
    return run


@pytest.fixture
def refused(tmp_path, capsys):
    """A function: name, {file: content} -> the one line of the error; nothing is written."""
    def run(name, files):
        for file, content in files.items():
            put(tmp_path / name / file, content)
        with pytest.raises(SystemExit) as stop:
            convert(name, tmp_path / name, tmp_path / "out")
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists(), error
        return error.removeprefix(f"{tmp_path}/{name}/").strip()
    return run


def texts(record):
    return [message["content"] for message in record["messages"]]


# ---- turns -----------------------------------------------------------------------------------------------

def check_turns(by_turns):
    assert by_turns(TURNS) == ["咳嗽三天", "有痰吗", "没有", "喝水"]
    assert by_turns([("assistant", "您好"), *TURNS, ("user", "谢谢")]) == [text for _, text in TURNS]
    said = [("user", "a"), ("user", ""), ("user", "b"), *[("assistant", text) for text in "ccd"]]
    assert by_turns(said) == ["a\nb", "c\nd"]
    assert by_turns(TURNS, "疾病：咳嗽")[0] == "疾病：咳嗽\n咳嗽三天"
    assert by_turns(TURNS, "咳嗽，三天。")[0] == "咳嗽三天", "the user says it already"
    assert by_turns(TURNS[1:2], "疾病：咳嗽") == ["疾病：咳嗽", "有痰吗"], "the case stands for the user"
    assert by_turns([("assistant", "您好")]) == by_turns([("user", "您好")]) == by_turns([]) == []


def test_turns():
    check_turns(by_turns)


def test_the_check_of_turns_has_teeth():
    def keeps_the_doctors_beginning(turns, description=""):
        return [text for _, text in turns if text]

    def drops_the_description(turns, description=""):
        return by_turns(turns)

    for wrong in keeps_the_doctors_beginning, drops_the_description:
        with pytest.raises(AssertionError):
            check_turns(wrong)


# ---- MedDialog -------------------------------------------------------------------------------------------

RAW = """id=1
https://site/1

Doctor faculty
某医院 内科

Description
预约医生： 某某
疾病： 咳嗽
病情描述： 咳嗽三天
过敏史： 无（2020-03-23填写）

Dialogue
医生：
感谢您的信任，病情资料我已详细阅读。根据您现有的资料，建议：多喝水
病人：
医生：这样说，好吗
病人：
医生给患者打电话患者未接听：

Dialogue
医生：
好的。希望您给我一个好评！谢谢

Diagnosis and suggestions
总结建议： 休息

Description
疾病： 头痛

Dialogue
病人：
有人吗

id=2
https://site/2
"""
RAW_ENGLISH = """id=7
https://site/7

Description
Do I have a cold?

Dialogue
Patient:
I cough. Do I have a cold?
Doctor:
In brief:   Likely   Drink water.  Would you like to video or text chat with me?

id=8
https://site/8

Description
Is it bad?

Dialogue
Patient:
With regards to my cough.
Doctor:
Hello,Thanks for your question on Healthcare Magic.I can understand your concern. Rest.
Hope I have answered your query. Let me know.
Regards, Dr. Nobody
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_raw_meddialog(converted, newline):
    records, counts = converted("meddialog", {"2020.txt": RAW.replace("\n", newline)})
    (_, record), = records
    case = "疾病： 咳嗽\n病情描述： 咳嗽三天\n过敏史： 无"
    assert texts(record) == [case, "多喝水", "医生：这样说，好吗", "好的。谢谢"]
    assert (record["task"], record["meta"]) == ("dialogue", {"summary": "总结建议： 休息"})
    assert "in 3, out 1" in counts and "no answer to a user 1, no description 1" in counts


def test_raw_meddialog_in_english(converted):
    records, _ = converted("meddialog", {"english.txt": RAW_ENGLISH})
    assert {tuple(texts(record)) for _, record in records} == {
        ("I cough. Do I have a cold?", "Likely Drink water."),
        ("Is it bad?\nWith regards to my cough.", "Rest.")}
    assert {record["task"] for _, record in records} == {"qa"}


def test_processed_meddialog_keeps_its_splits(converted):
    def file(word):
        lines = ["医生：您好", f"病人：{word}", "医生:[图片]多喝水", "病人：谢谢"]
        return json.dumps([lines], ensure_ascii=False, indent=1)

    files = {f"{split}_data.json": file(split) for split in ("train", "validate", "test")}
    english = [{"description": "I am ill", "utterances": ["patient: my head hurts", "doctor: rest"]}]
    records, _ = converted("meddialog", files | {"english-dev.json": json.dumps(english)})
    found = {kind: sorted(texts(record) for _, record in records if _ == kind) for kind, _ in records}
    assert found == {"train": [["train", "多喝水"]], "test": [["test", "多喝水"]],
                     "valid": [["I am ill\nmy head hurts", "rest"], ["validate", "多喝水"]]}


def test_one_case_stays_in_one_split_whatever_follows(converted):
    block = "id={}\n\nDescription\n疾病：病{}\n\nDialogue\n医生：\n答{}\n"
    text = "".join(block.format(i, i % 30, i) for i in range(90))
    records, _ = converted("meddialog", {"a.txt": text})
    splits = {}
    for kind, record in records:
        splits.setdefault(texts(record)[0], set()).add(kind)
    assert len(records) == 90 and len(splits) == 30 and all(len(kinds) == 1 for kinds in splits.values())


# ---- the others ------------------------------------------------------------------------------------------

HEADER = "ID,section_header,section_text,dialogue\n"
TRAIN, VALID, TEST = (f"MTS-Dialog-{name}.csv" for name in ("TrainingSet", "ValidationSet", "TestSet-1-X"))


def mts(*dialogues):
    rows = (f'{i},CC,"Note {i}.","{dialogue}"\n' for i, dialogue in enumerate(dialogues))
    return HEADER + "".join(rows)


def test_mts_dialog(converted):
    good = "Doctor: Any pain?\nPatient: No.\nDoctor: Why are you here? Patient: I have a rash on my arm. \n" \
           "Guest_family_2: On both\nher arms.\n Docotr: Since when?\nPatient: Since May."
    records, counts = converted("mts_dialog", {
        TRAIN: mts(good, "Doctor: Any pain?\nPatient: No.\nDoctor: Fine.",
                   "Doctor: Hi.\nDoctor_2: Hello to you, my dear colleague.\nPatient: Hi to both of you.",
                   "Guest_clinician: He is fine, I think, doctor.\nDoctor: Thanks."),
        VALID: mts("Guest_family. I am the wife of him.\nDoctor: Thank you, Patient. Go on."),
        TEST: mts("Patient: I came to see you, Doctor.\nDoctor: Good.")})
    found = {kind: record for kind, record in records}
    assert texts(found["train"]) == ["I have a rash on my arm.\nOn both her arms.", "Since when?"]
    assert found["train"]["meta"] == {"section": "CC", "note": "Note 0."}
    assert found["train"]["id"] == "mts_dialog-TrainingSet-0"
    assert texts(found["valid"]) == ["I am the wife of him.", "Thank you, Patient. Go on."]
    assert texts(found["test"]) == ["I came to see you, Doctor.", "Good."]
    assert "another clinician speaks 2, no answer to a user 1" in counts


def dxy(id, **more):
    said = [f"宝宝咳嗽{id}天，\n", "您的宝宝发烧吗?", "是的, 发烧", "可能是肺炎, 请去医院."]
    return {"consult_id": f"c{id}", "self_repo": said[0], "dialog": said, "disease_tag": "肺炎",
            "goal": {"explicit_inform_slots": {"咳嗽": True},
                     "implicit_inform_slots": {"发烧": False}}} | more


def test_dxy_dialog(converted):
    name = "dxy_dialog_data_dialog_v2.txt"
    records, _ = converted("dxy_dialog", {name: f"train@{[dxy(1)]}\ntest@{[dxy(2)]}\n"})
    ids = {kind: record["id"] for kind, record in records}
    assert ids == {"train": "dxy_dialog-c1", "test": "dxy_dialog-c2"}
    asked, *rest = texts(records[1][1])
    assert asked == "宝宝咳嗽1天，" and rest == ["您的宝宝发烧吗？", "是的，发烧", "可能是肺炎，请去医院。"]
    assert records[1][1]["meta"] == {"label": "肺炎", "symptoms": {"咳嗽": True, "发烧": False}}
    records, _ = converted("dxy_dialog", {name: f"train@{[dxy(i) for i in range(90)]}"})
    assert {kind for kind, _ in records} == {"train", "valid", "test"}, "one part is split by its ids"


def test_cmb_clin(converted):
    pairs = [{"question": "诊断？", "answer": "疝。\n      依据：\n  包块"},
             {"question": "治疗？", "answer": "手术"}]
    case = {"id": "3", "title": "案例", "description": "主诉\n   腹痛\n\n体检\n正常", "QA_pairs": pairs}
    records, _ = converted("cmb_clin", {"CMB-Clin/CMB-Clin-qa.json": json.dumps([case])})
    asked = "主诉\n腹痛\n体检\n正常\n诊断？"
    assert texts(records[0][1]) == [asked, "疝。\n依据：\n包块", "治疗？", "手术"]
    assert records[0][1]["task"] == "dialogue" and records[0][1]["meta"] == {"title": "案例"}


def mediqa(*questions):
    body = "".join(f'<Question QID="{i}">\n<QuestionText>{text}</QuestionText><AnswerList>' + "".join(
        f'<Answer SystemRank="{rank}" ReferenceRank="9" ReferenceScore="{score}">'
        f'<AnswerText>{answer}</AnswerText></Answer>' for score, rank, answer in answers)
        + "</AnswerList></Question>\n"
        for i, (text, answers) in enumerate(questions))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<X>\n{body}</X>'


MEDIQA_TRAIN = "MEDIQA2019-Task3-QA-TrainingSet2-Alexa.xml"
MEDIQA_VALID = "MEDIQA2019-Task3-QA-ValidationSet.xml"
FLU = ("What is flu?", [(1, 1, "bad"), (4, 3, "later"), (4, 2, "good &amp; short"), (2, 4, "fair"),
                        (1, 5, "worse Updated by: A. B., MD"), (1, 6, "x" * 60), (2, 7, "")])


def test_mediqa_never_orders_answers_of_one_score(converted):
    records, counts = converted("mediqa", {
        MEDIQA_TRAIN: mediqa(FLU, ("Equal?", [(2, 1, "a"), (2, 2, "b")])),
        MEDIQA_VALID: mediqa(("What is a cold?", [(3, 1, "mild"), (4, 2, "best")]))}, limit=50)
    found = [(kind, record["id"], record["answers"]) for kind, record in records]
    assert found == [
        ("preferences_train", "mediqa-TrainingSet2-0-0", ["good & short", "fair", "bad"]),
        ("preferences_train", "mediqa-TrainingSet2-0-1", ["later", "worse"]),
        ("preferences_valid", "mediqa-ValidationSet-0-0", ["best", "mild"])]
    assert "all answers of one score 1" in counts and "empty or over 50 characters 2" in counts


# ---- damage ----------------------------------------------------------------------------------------------

DEEP = "[" * 100_000


DXY = "dxy_dialog_data_dialog_v2.txt"
EMPTY = {VALID: mts(), TEST: mts()}


@pytest.mark.parametrize("name, files, fault", [
    ("meddialog", {"a.txt": "病人：\n咳嗽"}, "a.txt:1: does not begin with a line id="),
    ("meddialog", {"a.txt": RAW.encode() + b"\xe5"}, "a.txt:37: neither UTF-8 nor GB18030"),
    ("meddialog", {"a.txt": RAW.replace("多", "\0")}, "a.txt:15: a byte 0"),
    ("meddialog", {"a.json": '[["病人：咳", "医生：喝水"],\n ["喝水"]]'}, "a.json:2: a line begins with no"),
    ("meddialog", {"a.json": '[["病人：咳嗽", "医生：多喝水"]'}, "a.json:1: the list has no end"),
    ("meddialog", {"a.json": '[["病人：咳嗽", "医生：'}, "a.json:1: the record here is not JSON"),
    ("meddialog", {"a.json": DEEP}, "a.json:1: the record here is not JSON"),
    ("meddialog", {"a.md": ""}, "no *.txt or *.json in it"),
    ("mts_dialog", EMPTY | {TRAIN: mts("When did it begin?")}, f"{TRAIN}:2: no speaker"),
    ("mts_dialog", EMPTY | {TRAIN: HEADER + '0,CC,"cut'}, f"{TRAIN}:2: the row here is not CSV"),
    ("mts_dialog", {TRAIN: mts()}, "no file MTS-Dialog-ValidationSet.csv"),
    ("dxy_dialog", {DXY: "train@[{'a': 1}"}, f"{DXY}:1: not train@"),
    ("dxy_dialog", {DXY: f"train@{DEEP}"}, f"{DXY}:1: not train@"),
    ("dxy_dialog", {DXY: f"train@{[dxy(1, dialog=[1])]}"}, f"{DXY}:1: record 0: 'dialog' should be texts"),
    ("cmb_clin", {"CMB-Clin-qa.json": '[{"id": "1", "QA_pairs": ["?"]}]'}, "CMB-Clin-qa.json:1: 'QA_pairs'"),
    ("mediqa", {MEDIQA_TRAIN: mediqa(FLU)[:-9]}, f"{MEDIQA_TRAIN}:4: not XML"),
    ("mediqa", {MEDIQA_TRAIN: mediqa(FLU).replace(' ReferenceScore="2"', "", 1)},
     f"{MEDIQA_TRAIN}:3: an answer lacks"),
])
def test_damage_is_named_and_nothing_is_written(refused, tmp_path, name, files, fault):
    error = refused(name, files)
    assert error.removeprefix(f"{tmp_path / name}: ").startswith(fault) and ";" in error, error
