"""The converters of examinations and of Toyhom, on tiny releases written here, sound and damaged."""
import importlib
import json

import pytest

from data.exam import add_exam
from data.releases import Sets, command, split_of


def lines(*records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def convert(name, release, out, /, **flags):
    module = importlib.import_module(f"data.prepare_{name}")
    known = {flag: dict(default=value) for flag, value in flags.items()}
    command(name, module.convert, [str(release), "--out", str(out)], **known)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def asked_and_answered(record):
    return [message["content"] for message in record["messages"]]


@pytest.fixture
def converted(tmp_path, capsys):
    """A function: converter, {file: content} -> {set: records} and the line of counts."""
    def run(name, files, source="", /, **flags):
        for file, content in files.items():
            put(tmp_path / "release" / file, content)
        convert(name, tmp_path / "release", tmp_path / "out", **flags)
        source = source or name
        return {path.stem.removeprefix(f"{source}_"): read(path)
                for path in (tmp_path / "out").glob(f"{source}_*.jsonl")}, capsys.readouterr().out
    return run


@pytest.fixture
def refused(tmp_path, capsys):
    """A function: converter, {file: content} -> the one line of the error."""
    def run(name, files, /, **flags):
        for file, content in files.items():
            put(tmp_path / "bad" / file, content)
        with pytest.raises(SystemExit) as stop:
            convert(name, tmp_path / "bad", tmp_path / "none", **flags)
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "none").exists()
        return error
    return run


def medqa(number, letter="B"):
    options = {"A": "Lung", "B": "Stomach", "C": "Kidney"}
    return {"question": f"Question {number}: which digests?", "options": options, "answer": "Stomach",
            "answer_idx": letter, "meta_info": "step1", "metamap_phrases": []}


def test_an_english_question_gets_an_english_answer_and_a_chinese_one_a_chinese():
    sets = Sets("x")
    add_exam(sets, "test", "f:1", "Which?", {"A": "Lung", "B": "Heart"}, "B")
    add_exam(sets, "test", "f:2", "Which?", {"A": "肺", "B": "心"}, "B")
    assert [asked_and_answered(record) for record in sets.records["test"]] == [
        ["Which?\nA. Lung\nB. Heart", "Answer: Heart (B)"], ["Which?\nA. 肺\nB. 心", "答案：心（B）"]]


def test_medqa_writes_each_part_to_its_own_files(converted):
    folder = "data_clean/questions"
    files = {f"{folder}/US/4_options/phrases_no_exclude_train.jsonl": lines(medqa(1)),
             f"{folder}/US/4_options/phrases_no_exclude_test.jsonl": lines(medqa(2)),
             f"{folder}/US/train.jsonl": lines(medqa(3)), f"{folder}/Taiwan/train.jsonl": lines(medqa(4)),
             f"{folder}/Taiwan/tw_translated_jsonl/en/dev-2en.jsonl": lines(medqa(5))}
    for part, split, question in [("us", "train", 1), ("us", "test", 2), ("us5", "train", 3),
                                  ("taiwan", "train", 4)]:
        sets, _ = converted("medqa", files, f"medqa_{part}", part=part)
        assert asked_and_answered(sets[split][0]) == [
            f"Question {question}: which digests?\nA. Lung\nB. Stomach\nC. Kidney", "Answer: Stomach (B)"]
        assert sets[split][0]["source"] == f"medqa_{part}"
        assert sets[split][0]["meta"]["category"] == "step1"
    sets, _ = converted("medqa", files, "medqa_taiwan_en", part="taiwan_en")
    assert sum(map(len, sets.values())) == 1 and "train" not in sets, "a validation question is trained on"


def mcqa(number, cop, **more):
    return {"id": f"m{number}", "question": f"Question {number}?", "opa": "one", "opb": "two", "opc": "three",
            "opd": "four", "cop": cop, "choice_type": "multi", "exp": "", "subject_name": "Anatomy", **more}


@pytest.mark.parametrize("cops, letters", [((1, 2, 3, 4), "ABCD"), ((0, 1, 2, 3), "ABCD"), ((2, 4), "BD"),
                                           ((0, 2), "AC")])
def test_medmcqa_counts_its_options_from_one_or_from_zero(converted, cops, letters):
    sets, _ = converted("medmcqa", {"data/train.json": lines(*(mcqa(i, cop) for i, cop in enumerate(cops)))})
    words = {"A": "one", "B": "two", "C": "three", "D": "four"}
    assert [record["meta"]["answer"] for record in sets["train"]] == list(letters)
    assert [asked_and_answered(record)[1] for record in sets["train"]] == [
        f"Answer: {words[letter]} ({letter})" for letter in letters]
    assert sets["train"][0]["meta"]["category"] == "Anatomy"


def test_medmcqa_halves_dev_where_the_test_has_no_answers(converted):
    secret = [mcqa(100, -1), {key: value for key, value in mcqa(101, 0).items() if key != "cop"}]
    sets, counts = converted("medmcqa", {"train.json": lines(mcqa(0, 4)), "test.json": lines(*secret),
                                         "dev.json": lines(*(mcqa(i, 4) for i in range(1, 41)))})
    assert len(sets["test"]) + len(sets["valid"]) == 40 and 8 < len(sets["test"]) < 32
    assert "no answer 2" in counts and len(sets["train"]) == 1


def test_medmcqa_reads_the_copy_with_options(converted):
    record = {"question": "Q?", "realidx": "1", "options": {"A": "x", "B": 0.5}, "answer_idx": "B"}
    sets, _ = converted("medmcqa", {"test.jsonl": lines(record)})
    assert asked_and_answered(sets["test"][0]) == ["Q?\nA. x\nB. 0.5", "Answer: 0.5 (B)"] and len(sets) == 1


TABLE = "Question,A,B,C,D,Answer\n"


def test_cmmlu_takes_the_medical_subjects_and_trains_on_the_examples_only(converted):
    sets, counts = converted("cmmlu", {
        "data/dev/anatomy.csv": f",{TABLE}0,例一,甲,乙,丙,丁,A\n", "data/dev/astronomy.csv": "no table\n",
        "data/test/anatomy.csv": f",{TABLE}0,考一,甲,乙,丙,丁,D\n1,考二,甲,乙,,丁,D\n2,例一,甲,乙,丙,丁,A\n"})
    assert asked_and_answered(sets["test"][0]) == ["考一\nA. 甲\nB. 乙\nC. 丙\nD. 丁", "答案：丁（D）"]
    assert sets["test"][0]["meta"]["category"] == "anatomy"
    assert "train" not in sets, "an example that the test asks is trained on"
    assert "asked in test 1, empty 1" in counts


def test_ceval_counts_the_questions_of_the_test_that_have_no_answer(converted):
    header = "id,question,A,B,C,D"
    rows = "".join(f"{i},考{i}____,甲,乙,丙,丁,C\n" for i in range(40))
    sets, counts = converted("ceval", {
        "dev/physician_dev.csv": f"{header},answer,explanation\n0,例____,甲,乙,丙,丁,B,1. 因为\n",
        "val/physician_val.csv": f"{header},answer\n{rows}",
        "test/physician_test.csv": f"{header}\n0,密____,甲,乙,丙,丁\n", "test/law_test.csv": f"{header}\n"})
    assert asked_and_answered(sets["train"][0]) == ["例____\nA. 甲\nB. 乙\nC. 丙\nD. 丁", "答案：乙（B）"]
    assert len(sets["valid"]) + len(sets["test"]) == 40 and 8 < len(sets["test"]) < 32
    assert "no answer 1" in counts and {record["meta"]["answer"] for record in sets["test"]} == {"C"}


def test_toyhom_joins_title_and_question_without_repeating_either(converted):
    header = "department,title,ask,answer\n"
    first = header + "消化科,胃胀怎么办？,我胃胀三天了。,少吃多餐。\n消化科,胃痛怎么办？,无,去检查。\n"
    second = header + '男科,如何用药？,"我发热，请问如何用药",休息。\n男科,咳嗽吃什么好？,咳嗽吃什么,喝水。\n'
    sets, counts = converted("toyhom", {"Data_数据/IM_内科/内科.csv": first.encode("gbk"),
                                        "Data_数据/A_男科/男科.csv": second.encode("gbk")})
    records = {record["messages"][0]["content"]: record for kind in sets.values() for record in kind}
    assert set(records) == {"胃胀怎么办？\n我胃胀三天了。", "胃痛怎么办？", "我发热，请问如何用药",
                            "咳嗽吃什么好？"}
    assert records["胃痛怎么办？"]["messages"][1]["content"] == "去检查。"
    assert records["胃痛怎么办？"]["meta"] == {"category": "消化科"} and "in 4, out 4" in counts
    assert all(split_of(record["id"].split("-")[1]) == kind for kind in sets for record in sets[kind])


DEV = "dev/anatomy.csv"


@pytest.mark.parametrize("name, file, content, fault", [
    ("medmcqa", "train.json", lines(mcqa(0, 0), mcqa(1, 4)), "train.json:1: 'cop' takes the values 0, 4, n"),
    ("medmcqa", "train.json", lines(mcqa(0, 1), mcqa(1, 2)), "train.json:1: 'cop' takes the values 1, 2, n"),
    ("medmcqa", "train.json", lines(mcqa(0, 1), mcqa(1, "2")), "train.json:2: no number 'cop'"),
    ("medmcqa", "train.json", lines(mcqa(0, 1), mcqa(1, 4, opc=None)), "train.json:2: no text 'opc'"),
    ("medmcqa", "train.json", lines(mcqa(0, 4))[:-9], "train.json:1: the record here is not JSON"),
    ("medmcqa", "train.json", '{"a": ' + "[" * 5000, "train.json:1: the record here is not JSON"),
    ("medmcqa", "train.json", '{"cop": ' + "1" * 5000 + "}", "train.json:1: the record here is not JSON"),
    ("medmcqa", "test.jsonl", lines({"options": {"1": "x"}, "answer_idx": "A"}), ".jsonl:1: option '1' is"),
    ("medmcqa", "test.jsonl", lines({"options": ["x"], "answer_idx": "A"}), ".jsonl:1: no object 'options'"),
    ("cmmlu", DEV, f"{TABLE}例,甲,乙,丙,丁,E\n", "anatomy.csv:2: 'E' is not in options ABCD"),
    ("cmmlu", DEV, f"{TABLE}例,甲,乙,丙,丁\n", "anatomy.csv:2: 5 cells, the header has 6"),
    ("cmmlu", DEV, "Question,A,B,C,D\n例,甲,乙,丙,丁\n", "anatomy.csv:2: no text 'Answer'"),
    ("cmmlu", "dev/astronomy.csv", f"{TABLE}例,甲,乙,丙,丁,A\n", "no usable record (none of its files"),
    ("ceval", "physician_val.csv", "question,A,B,C,D\n例,甲,乙,丙,丁\n", "_val.csv:2: no text 'answ"),
    ("toyhom", "a.csv", "department,title,ask\n内科,题,问\n", "a.csv:2: no text 'answer'"),
    ("toyhom", "a.csv", f"department,title,ask,answer\n内,题,{'问' * 140000},答\n", "a.csv:2: the row here"),
    ("toyhom", "a.csv", "department,title,ask,answer\n内,题,问,答\n".encode("gbk") + b"\xff", ":3: neither"),
])
def test_damage_is_named_and_nothing_is_written(refused, name, file, content, fault):
    assert fault in refused(name, {file: content})
