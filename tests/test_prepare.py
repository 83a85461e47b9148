"""The converters of data/, on tiny releases written for these tests, sound and damaged."""
import csv
import importlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from data.build import Rules, build
from data.releases import Sets, apart, command, read_records, split_of

ROOT = Path(__file__).parent.parent
CASES = {"huatuo26m": "huatuo26M", "cmedqa2": "cMedQA2", "huatuo_kgqa": "Huatuo_KGQA", "medqa": "MedQA",
         "cmexam": "CMExam", "cmtmedqa": "CMtMedQA", "ai_hospital": "AI_Hospital", "medicalgpt": "MedicalGPT"}
MEDQA = "data_clean/questions/Mainland/4_options"
HOSPITAL = "evaluation_iiyi_gpt4_onestep.jsonl"


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def table(header, *rows):
    text = io.StringIO()
    csv.writer(text).writerows([header.split(","), *rows])
    return text.getvalue()


def pack(path, name, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, text)


def huatuo(question, answer):
    return {"id": "", "instruction": [question], "input": "", "output": [answer]}


def exam(number, letter="B"):
    options = {"A": "肺", "B": "胃", "C": "肾", "D": "脑"}
    question = f"第{number}题，消化食物的器官是"
    return {"question": question, "options": options, "answer": "", "answer_idx": letter, "meta_info": ""}


def hospital(id, diagnosis, basis):
    said = f"#诊断结果#\n1. 感冒\n2. 咽炎\n\n#诊断依据#\n{basis}"
    return {"patient_id": id, "diagnosis_choice": "C", "doctor_diagnosis": {"diagnosis": said},
            "reference_diagnosis": {"diagnosis": diagnosis, "basis": basis, "treatment": "休息"}}


def dialogue(id):
    return {"id": f"j{id}", "cate1": "内科", "input": "", "instruction": "谢谢", "output": "不客气",
            "history": [[f"咳嗽{id}天", "有痰吗"], ["没有", "喝水"]]}


@pytest.fixture
def releases(tmp_path):
    """A folder with all eight releases, each a few records long."""
    root = tmp_path / "releases"
    put(root / "huatuo26M/huatuo26M_test.json", json.dumps(
        [huatuo(f"问题{i}怎么办？", f"&lt;回答{i}<br>多喝水") for i in range(40)]
        + [huatuo(" ", "空"), huatuo("同样", "同样"), huatuo("长" * 900, "答" * 900)], indent=1))

    folder = root / "cMedQA2"
    questions = [[f"q{i}", f"我头痛{i}天了，\n怎么办？"] for i in range(6)]
    pack(folder / "question.zip", "question.csv", table("question_id,content", *questions))
    answers = [[f"a{i}", f"q{i}", f"休息{i}天。"] for i in range(6)]
    put(folder / "answer.csv", table("ans_id,question_id,content", *answers))
    pairs = ["q0", "a0", "a1"], ["q0", "a0", "a5"], ["q0", "a1", "a2"], ["q1", "a1", "a2"]
    pack(folder / "train_candidates.zip", "any.txt", table("question_id,pos_ans_id,neg_ans_id", *pairs))
    for name, right in ("dev", 4), ("test", 5):
        candidates = [[f"q{right}", f"a{right}", "0", "1"], [f"q{right}", "a0", "1", "0"]]
        put(folder / f"{name}_candidates.txt", table("question_id,ans_id,cnt,label", *candidates))

    put(root / "Huatuo_KGQA/llama_data.json", lines(
        *({"instruction": f"患者{i}贫血", "input": "如何治疗？", "output": "补铁。"} for i in range(40))))

    put(root / "MedQA" / MEDQA / "train.jsonl", lines(exam(1), exam(2), exam(2), exam(9)))
    put(root / "MedQA" / MEDQA / "dev.jsonl", lines(exam(3), exam(9)))
    put(root / "MedQA" / MEDQA / "test.jsonl", lines(exam(4)))

    header, options = "Question,Options,Answer,Explanation", "A 心\nB 肝\nC 脾"
    rows = ["造血者", options, "C", ""], ["内脏有", options, "AB", ""], ["无解", options, "nan", ""]
    put(root / "CMExam/data/train.csv", "\ufeff" + table(header, *rows))
    put(root / "CMExam/data/val.csv", table(header, *([f"第{i}问", options, "A", ""] for i in range(20))))

    put(root / "CMtMedQA/CMtMedQA_test.json", json.dumps(
        [*map(dialogue, range(40)), {"instruct": " 是诅咒吗？", "output": " 不是，请就医。"}]))

    case = "\n咳嗽{}天，发热，胸片提示肺炎，有高血压病史，诊断为急性肺炎。听诊有湿啰音。"
    put(root / "AI_Hospital" / HOSPITAL, lines(
        *(hospital(i, "\n1. 急性肺炎（右侧）\n2. 高血压病，3级\n", case.format(i)) for i in range(90)),
        hospital(90, "\n与初步诊断相同。\n", "头痛"), hospital(93, "1. 。", "头痛"),
        hospital(91, "肺炎", "胸片提示肺炎"),
        hospital(92, " 右侧耳鸣、失眠\n", "患者耳中有声音半年，夜间难以入睡，查体及检查未见异常。")))

    talk = [{"from": "human", "value": "感冒怎么办"}, {"from": "gpt", "value": "多喝水"}]
    put(root / "MedicalGPT/sft/medical_sft_1K_format.jsonl", lines(
        {"conversations": talk}, {"conversations": talk * 2}, {"conversations": talk[::-1]}))
    put(root / "MedicalGPT/reward/test.json", lines(
        *({"question": f"第{i}问", "response_chosen": "好", "response_rejected": "坏"} for i in range(40)),
        {"question": "哪个好？", "response_chosen": "一样", "response_rejected": "一样"}))
    asked = [{"from": "system", "value": "你是医生"}, talk[0]]
    put(root / "MedicalGPT/reward/dpo_zh_500.jsonl", lines(
        {"conversations": asked, "chosen": "休息", "rejected": "不知道"}))
    return root


def convert(name, release, out):
    module = importlib.import_module(f"data.prepare_{name}")
    command(name, module.convert, [str(release), "--out", str(out)])


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(record):
    return [message["content"] for message in record["messages"]]


@pytest.fixture
def converted(releases, tmp_path, capsys):
    """A function: name -> all sets of that release, {"train": [...], ...}, and the line of counts."""
    def run(name):
        convert(name, releases / CASES[name], tmp_path / "out")
        sets = {path.stem.removeprefix(f"{name}_"): read(path) for path in (tmp_path / "out").iterdir()}
        counts = capsys.readouterr().out
        assert f"out {sum(map(len, sets.values()))} (" in counts
        return sets, counts
    return run


def test_huatuo26m(converted):
    sets, counts = converted("huatuo26m")
    records = [record for kind in sets.values() for record in kind]
    record = next(record for record in records if "问题7怎" in texts(record)[0])
    assert texts(record) == ["问题7怎么办？", "<回答7\n多喝水"]
    assert (record["task"], record["source"], record["meta"]) == ("qa", "huatuo26m", {})
    assert all(split_of(record["id"].split("-")[1]) == kind for kind in sets for record in sets[kind])
    assert "in 43, out 40" in counts and counts.count("\n") == 1
    assert "equal to the question or to the other answer 1, empty 1, over 1500 characters 1" in counts


def test_cmedqa2(converted):
    sets, _ = converted("cmedqa2")
    assert [record["id"] for record in sets["train"]] == ["cmedqa2-q0-a0", "cmedqa2-q0-a1", "cmedqa2-q1-a1"]
    assert [record["id"] for record in sets["test"]] == ["cmedqa2-q5-a5"]
    assert texts(sets["valid"][0]) == ["我头痛4天了，\n怎么办？", "休息4天。"]
    pairs = [(record["chosen"], record["rejected"]) for record in sets["preferences_train"]]
    assert pairs == [("休息0天。", "休息2天。"), ("休息1天。", "休息2天。")], "a right answer lost"
    assert [record["rejected"] for record in sets["preferences_valid"]] == ["休息0天。"]
    assert "preferences_test" not in sets


def test_huatuo_kgqa(converted):
    sets, counts = converted("huatuo_kgqa")
    assert texts(sets["train"][0])[0].endswith("贫血\n如何治疗？") and "out 40" in counts


def test_medqa(converted):
    sets, counts = converted("medqa")
    assert texts(sets["test"][0]) == ["第4题，消化食物的器官是\nA. 肺\nB. 胃\nC. 肾\nD. 脑", "答案：胃（B）"]
    assert sets["test"][0]["meta"] == {"options": exam(4)["options"], "answer": "B", "category": "medqa"}
    assert {kind: len(records) for kind, records in sets.items()} == {"train": 2, "valid": 2, "test": 1}
    assert "asked in valid 1, repeated 1" in counts


def test_cmexam_halves_its_validation_set_where_it_has_no_test(converted):
    sets, counts = converted("cmexam")
    options = "\nA. 心\nB. 肝\nC. 脾"
    assert [texts(record) for record in sets["train"]] == [
        [f"造血者{options}", "答案：脾（C）"], [f"内脏有{options}", "答案：心（A）；肝（B）"]]
    assert [record["meta"]["answer"] for record in sets["train"]] == ["C", "AB"]
    assert 4 < len(sets["valid"]) < 16 and len(sets["valid"]) + len(sets["test"]) == 20
    assert "no answer 1" in counts and "several" not in counts


def test_cmtmedqa(converted):
    sets, _ = converted("cmtmedqa")
    records = {record["id"]: record for kind in sets.values() for record in kind}
    assert texts(records["cmtmedqa-j3"]) == ["咳嗽3天", "有痰吗", "没有", "喝水", "谢谢", "不客气"]
    assert [message["role"] for message in records["cmtmedqa-j3"]["messages"]] == ["user", "assistant"] * 3
    safety, = [record for record in records.values() if record["task"] == "qa"]
    assert texts(safety) == ["是诅咒吗？", "不是，请就医。"] and len(records) == 41


def test_ai_hospital_hides_the_diagnosis(converted):
    sets, counts = converted("ai_hospital")
    records = {record["id"]: record for kind in ("train", "valid", "test") for record in sets[kind]}
    asked = "咳嗽0天，发热，胸片提示，有高血压病史，。听诊有湿啰音。\n请根据病历给出诊断。"
    assert texts(records["ai_hospital-0"]) == [asked, "诊断：急性肺炎（右侧）"]
    meta = {"label": "急性肺炎（右侧）", "group": "respiratory", "aliases": []}
    assert records["ai_hospital-0"]["meta"] == meta
    assert records["ai_hospital-92"]["meta"] == {"label": "右侧耳鸣", "group": "other", "aliases": []}
    pairs = sets["preferences_train"] + sets["preferences_valid"]
    assert pairs[0]["chosen"] == "诊断：急性肺炎（右侧）；高血压病，3级"
    assert pairs[0]["rejected"] == "诊断：感冒；咽炎"
    held_out = {record["id"] for record in sets["test"]}
    assert held_out and not held_out & {pair["id"] for pair in pairs}
    assert "little but the diagnosis 1, no diagnosis named 2" in counts


def test_medicalgpt(converted):
    sets, counts = converted("medicalgpt")
    tasks = {record["task"] for kind in ("train", "valid", "test") for record in sets.get(kind, [])}
    pairs = sets["preferences_train"] + sets["preferences_valid"]
    assert tasks == {"qa", "dialogue"} and len(pairs) == 41 and sets["preferences_valid"]
    roles = [[message["role"] for message in pair["messages"]] for pair in pairs]
    assert roles.count(["system", "user"]) == 1 and roles.count(["user"]) == 40
    assert "turns out of order 1" in counts


def test_a_question_stays_in_one_split_whatever_the_order_of_its_options():
    sets = Sets("x")
    for split, options in ("train", "A. 甲\nB. 乙"), ("test", "A. 乙\nB.  甲"), ("train", "A. 甲\nB. 丙"):
        sets.add_task(split, "exam", options, [f"谁？\n{options}", "答"])
    kept, dropped = apart(sets.records)
    assert [texts(record)[0][-1] for record in kept["train"]] == ["丙"] and dropped == {"asked in test": 1}


HEADER = "ans_id,question_id,content\n"
GOOD = '{"instruction": "问", "input": "", "output": "答"}\n'


@pytest.mark.parametrize("name, file, content, fault", [
    ("huatuo26m", "huatuo26M_test.json", '[{"instruction": ["问"]},\n {}]', ":1: no list 'output'"),
    ("huatuo26m", "huatuo26M_test.json", '[{"instruction": ["问"], "output": [1]}]', ":1: 'instruction' and"),
    ("huatuo26m", "huatuo26M_test.json", json.dumps([huatuo("问", "答")])[:-1], ":1: the list has no end"),
    ("huatuo26m", "huatuo26M_test.json", "[]", ":1: no records"),
    ("huatuo26m", "huatuo26M_test.json", "", ":1: the file is empty"),
    ("huatuo_kgqa", "llama_data.json", GOOD + '\n{"instru', ":3: the record here is not JSON"),
    ("huatuo_kgqa", "llama_data.json", GOOD + "7\n" + GOOD, ":2: '7"),
    ("huatuo_kgqa", "llama_data.json", GOOD.encode() + b"\xff\n", ":2: neither UTF-8 nor GB18030"),
    ("cmedqa2", "answer.csv", HEADER + 'a0,q0,"答\n案"\na0,q0\n', ":4: 2 cells, the header has 3"),
    ("cmedqa2", "answer.csv", HEADER + 'a0,q0,"没有', ":2: the row here is not CSV"),
    ("cmedqa2", "answer.csv", "id,text\na0,答\n", ":2: no text 'ans_id' (found only id, text)"),
    ("cmedqa2", "dev_candidates.txt", "question_id,ans_id,cnt,label\nq9,a0,0,1\n", ":2: question q9 lacks"),
    ("cmedqa2", "train_candidates.zip", b"PK\x03\x04 cut", ":1: the archive cannot be read"),
    ("medqa", f"{MEDQA}/dev.jsonl", lines(exam(3), exam(4, "F")), ":2: 'F' is not in options ABCD"),
    ("cmexam", "data/val.csv", "Question,Options,Answer\n问,心,A\n", ":2: option '心'"),
    ("cmtmedqa", "CMtMedQA_test.json", '{"id": "j1", "history": [["问"]]}', ":1: 'history' should be pairs"),
    ("ai_hospital", HOSPITAL, '{"patient_id": 1}', ":1: no object 'reference_diagnosis'"),
    ("medicalgpt", "reward/dpo_zh_500.jsonl", '{"conversations": [{"from": "cat"}]}', ":1: a turn of"),
])
def test_damage_is_named_and_nothing_is_written(releases, tmp_path, capsys, name, file, content, fault):
    path = releases / CASES[name] / file
    put(path, content)
    with pytest.raises(SystemExit) as stop:
        convert(name, releases / CASES[name], tmp_path / "out")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert error.startswith(f"{path}{fault}") and ";" in error, error
    assert not (tmp_path / "out").exists()


def test_absent_and_doubled_files_are_named(releases, tmp_path, capsys):
    put(releases / "cMedQA2/question.csv", "question_id,content\n")
    for name, folder, fault in [("cmedqa2", "none", "none: no such file or folder"),
                                ("cmedqa2", "MedQA", "no file question.*"),
                                ("cmedqa2", "cMedQA2", "are called question.*"),
                                ("medicalgpt", "MedQA", "no usable record (none of its files is here)")]:
        with pytest.raises(SystemExit):
            convert(name, releases / folder, tmp_path / "out")
        assert fault in capsys.readouterr().err


def test_encodings(tmp_path):
    text, path = "题,答\n我头痛三天，怎么办？,休息\n", tmp_path / "table.csv"
    for content in text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("gb18030"):
        put(path, content)
        assert [record for _, record in read_records(path)] == [{"题": "我头痛三天，怎么办？", "答": "休息"}]
    put(path, text.encode().replace("三".encode(), b"\xe4\xb8"))
    with pytest.raises(ValueError, match="table.csv:2: neither UTF-8"):
        list(read_records(path))


@pytest.mark.parametrize("encoding, text", [
    ("cp1252", "38.0 °C and 50 µg of it"), ("cp1252", "the patient’s cough"),
    ("latin-1", "Fièvre élevée"), ("latin-1", "größere Müdigkeit")])
def test_western_text_is_not_read_as_chinese(tmp_path, encoding, text):
    data = f"id,note\n1,x\n2,{text}\n".encode(encoding)
    put(tmp_path / "a.csv", data)
    data.decode("gb18030")                           # as it can be
    with pytest.raises(ValueError, match=r"a.csv:3: not UTF-8, and .* in GB18030; save the file as UTF-8"):
        list(read_records(tmp_path / "a.csv"))


@pytest.mark.parametrize("text", [
    "患者陶喆与朱镕基、㛃，体温38.0℃，50μg，500㎎", "Dr 朱镕基, 38.0 ℃ and 50 μg: only that", "500㎎ a day",
    "病人因頭痛、發熱、咳嗽三天就診，檢查顯示肺部有濕囉音，診斷為肺炎，給予抗生素治療。"])
def test_chinese_in_gb18030_is_read(tmp_path, text):
    put(tmp_path / "a.csv", f"题\n\"{text}\"\n".encode("gb18030"))
    assert [record for _, record in read_records(tmp_path / "a.csv")] == [{"题": text}]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_have_commas_semicolons_or_tabs(tmp_path, mark):
    rows = ["id", '"a,b;c;d"', "e"], ["1", '"x,y;z"', "2"]
    put(tmp_path / "a.csv", "\n".join(map(mark.join, rows)))
    (_, record), = read_records(tmp_path / "a.csv")
    assert record == {"id": "1", "a,b;c;d": "x,y;z", "e": "2"}


def test_a_failed_write_leaves_the_earlier_files_alone(converted, releases, tmp_path, monkeypatch):
    sets, _ = converted("medqa")
    monkeypatch.setattr("data.releases.json_lines", lambda records: "\ud800")      # cannot be encoded
    with pytest.raises(SystemExit):
        convert("medqa", releases / "MedQA", tmp_path / "out")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {f"medqa_{kind}" for kind in sets}
    assert read(tmp_path / "out/medqa_test.jsonl") == sets["test"]


def test_a_set_of_converted_sources_keeps_what_any_test_asks_out_of_training(tmp_path):
    def write(source, **kinds):
        sets = Sets(source)
        for split, questions in kinds.items():
            for question in questions:
                sets.add_task(split, "qa", question, [question, "第一行\n第二行"])
                if split != "test":
                    sets.add_preference(split, question, [{"role": "user", "content": question}], "好", "坏")
        sets.write(tmp_path)

    write("cmedqa2", train=["甲？", "乙？", "丙？"], test=["丁？"])
    write("other", train=["丁 ?", "戊？"], valid=["乙？"], test=["甲？"])
    words = [f"{name}={tmp_path}/{name}_*.jsonl" for name in ("cmedqa2", "other")]
    counts = build(tmp_path / "out", words, Rules(prompts_from="cmedqa2", pretrain=True), workers=1)
    asked = {path.stem: {texts(record)[0] for record in read(path)}
             for path in (tmp_path / "out").glob("*.jsonl") if path.stem != "rejects"}
    assert asked["test_qa"] == {"甲？", "丁？"} and asked["valid"] == {"乙？"}
    assert asked["train"] == asked["preferences_train"] == {"丙？", "戊？"} and asked["prompts"] == {"丙？"}
    paragraphs = (tmp_path / "out/pretrain.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(paragraphs) == ["丙？ 第一行 第二行", "戊？ 第一行 第二行"]
    assert "asked in test 4, asked in valid 2" in counts


def test_the_script_converts_and_joins_all_releases(releases, tmp_path):
    def run():
        words = ["bash", str(ROOT / "runs/real_data.sh"), "releases", str(tmp_path / "out")]
        environment = os.environ | {"PYTHON": sys.executable}
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert run().returncode == 0
    for kind in ("train", "valid", "preferences_train", "preferences_valid", "prompts",
                 "test_dialogue", "test_exam", "test_diagnosis", "test_qa"):
        assert read(tmp_path / f"out/{kind}.jsonl")
    put(releases / "MedQA" / MEDQA / "train.jsonl", "{")
    failed = run()
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1 and "train.jsonl:1: " in failed.stderr
