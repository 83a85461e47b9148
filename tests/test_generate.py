"""What data/generate.py promises: the same bytes for a seed, tests apart from training, true answers true."""
import json
import re
from collections import Counter

import pytest

from data.generate import generate
from data.knowledge_graph import RELATIONS, read_graph, read_names
from data.wordings import EN, WORDS, ZH


@pytest.fixture(scope="module", params=["zh", "en"])
def written(request, tmp_path_factory):
    """(language, graph, {file name: records}, folder)"""
    folder = tmp_path_factory.mktemp(request.param)
    generate(folder, request.param, seed=3, scale=0.2)
    files = {path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
             for path in folder.glob("*.jsonl")}
    return request.param, read_graph(folder / "graph.tsv"), files, folder


def of_task(records, *tasks):
    return [record for record in records if record["task"] in tasks]


def pair(record):
    return record["meta"]["head"], record["meta"]["relation"]


def question(record):
    return record["messages"][0]["content"]


def test_same_seed_same_bytes(written, tmp_path):
    lang, _, _, folder = written
    generate(tmp_path, lang, seed=3, scale=0.2)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    generate(tmp_path, lang, seed=4, scale=0.2)
    assert (folder / "train.jsonl").read_bytes() != (tmp_path / "train.jsonl").read_bytes()


def test_the_mix_is_what_ppo_asks_nothing_of(written):
    _, _, files, _ = written
    train, mix = ([{**row, "id": ""} for row in files[name]] for name in ("train", "mix"))
    assert mix == [row for row in train if row["task"] != "qa"] and len(mix) < len(train)
    assert not {row["task"] for row in files["prompts"]} & {row["task"] for row in mix}


def test_prose_states_every_fact(written):
    _, graph, _, folder = written
    lines = (folder / "pretrain.txt").read_text(encoding="utf-8").splitlines()
    for head in graph.heads():
        prose = "\n".join(line for line in lines if head in line)
        for relation in (*RELATIONS, "alias"):
            assert all(tail in prose for tail in graph.tails(head, relation)), (head, relation)


def test_what_the_tests_ask_is_new(written):
    _, _, files, _ = written
    learned, ranked = files["train"] + files["valid"], files["preferences_train"] + files["preferences_valid"]
    held_out = {pair(record) for record in files["test_qa"] if not record["meta"]["seen"]}
    asked = [*of_task(learned, "qa", "kg", "exam", "dialogue"), *ranked, *files["prompts"]]
    assert held_out and not held_out & {pair(record) for record in asked}
    assert not held_out & {(r["meta"]["head"], "examination") for r in of_task(learned, "dialogue")}
    assert not {pair(r) for r in files["preferences_train"]} & {pair(r) for r in files["preferences_valid"]}
    patients_ask = [*of_task(learned, "qa"), *ranked, *files["prompts"], *files["test_qa"]]
    questions = [question(record) for record in patients_ask]
    assert len(set(questions)) == len(questions)

    def patients(records):
        return {(r["meta"].get("label") or r["meta"]["head"], *r["meta"]["symptoms"]) for r in records}
    met = patients(of_task(learned, "diagnosis", "dialogue"))
    assert not met & patients(files["test_diagnosis"] + files["test_dialogue"])
    facts = {(*pair(record), record["meta"]["tail"]) for record in of_task(learned, "exam")}
    assert not facts & {(*pair(record), record["meta"]["tail"]) for record in files["test_exam"]}


def test_wordings_of_the_tests_are_new(written):
    lang, _, files, _ = written
    words, read = WORDS[lang], json.dumps(files["train"] + files["valid"], ensure_ascii=False)
    exam = [re.sub(r"\\{\w+\\}", ".+", re.escape(w)) for w in words.exam_test + words.inverse_test]
    turns = words.tell_test + words.confirm_test + sum(words.next_test.values(), ())
    for wording in words.opening_test + turns:
        assert not re.search(re.sub(r"\\{\w+\\}", "[^\"]+", re.escape(wording)), read), wording
    assert all(question(record).startswith(words.opening_test) for record in files["test_qa"])
    assert not any(re.match(w, question(r)) for w in exam for r in of_task(files["train"], "exam"))
    new = sum(any(re.match(wording, question(record)) for wording in exam) for record in files["test_exam"])
    assert new >= len(files["test_exam"]) / 2


def test_a_record_does_not_name_its_disease(written):
    _, _, files, _ = written
    for record in of_task(files["train"] + files["test_diagnosis"], "diagnosis"):
        for name in (record["meta"]["label"], *record["meta"]["aliases"]):
            assert not re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", question(record), re.I), record


def test_exams_have_one_right_option(written):
    _, graph, files, _ = written
    for exams in (of_task(files["train"], "exam"), files["test_exam"]):
        letters = Counter(record["meta"]["answer"] for record in exams)
        assert max(letters.values()) - min(letters.values()) <= 0.05 * len(exams) + 1
        for meta in (record["meta"] for record in exams):
            right, tail = meta["options"][meta["answer"]], meta["tail"]
            assert right in (meta["head"], tail) and tail in graph.tails(meta["head"], meta["relation"])
            wrong = set(meta["options"].values()) - {right}
            facts = [(meta["head"], w) if right == tail else (w, tail) for w in wrong]
            assert len(wrong) == 3
            assert not any(tail in graph.tails(head, r) for head, tail in facts for r in RELATIONS), meta


def test_ranked_answers_are_what_they_are_called(written):
    lang, graph, files, _ = written
    words, places = WORDS[lang], Counter()
    said = {tail for relation in RELATIONS for tail in graph.tail_vocabulary(relation)}
    for record in files["preferences_train"]:
        said_by = dict(zip(record["meta"]["kinds"], record["answers"], strict=True))
        place = list(said_by).index("padded")
        places[place] += 1
        padded = said_by.pop("padded")
        assert list(said_by) == ["right", "partial", "other", "evasive", "repetitive"]
        right, partial, other, evasive, repetitive = said_by.values()
        tails, head = graph.tails(*pair(record)), record["meta"]["head"]
        assert record["meta"]["tails"] == list(tails)
        assert all(tail in right for tail in tails)
        assert 2 <= sum(sentence in padded for sentence in words.filler) <= 4
        facts = [{tail for tail in said if tail in text} for text in record["answers"][place - 1:place + 1]]
        assert facts[0] == facts[1]
        assert 0 < sum(tail in partial for tail in tails) <= max(1, len(tails) // 2)
        assert head in other and not any(tail in other.replace(head, "") + evasive for tail in tails)
        assert any(tail in other for tail in said)
        assert max(repetitive.count(tail) for tail in said) >= 2
    assert set(places) == {1, 2, 3}


def test_both_languages_have_as_many_wordings():
    def shape(wordings):
        values = wordings.values() if isinstance(wordings, dict) else wordings
        return 1 if isinstance(wordings, str) else [shape(value) for value in values]
    assert shape(vars(ZH)) == shape(vars(EN))


@pytest.mark.parametrize("content, finding", [
    ("感冒\tdisease\tsymptom\t咳嗽\tsymptom\n感冒\t咳嗽\n", ":2: 2 columns, not 5"),
    ("感冒\tdisease\tsymptom\t\tsymptom\n", ":1: column 4 is empty"), ("\n", "no facts")])
def test_errors_name_file_and_line(tmp_path, content, finding):
    path = tmp_path / "graph.tsv"
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_graph(path)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=finding):
        read_graph(path)
    path.write_text("感冒\tcold\n感冒\tflu\n", encoding="utf-8")
    with pytest.raises(ValueError, match=":2: 感冒 is 'cold'"):
        read_names(path)
    path.write_text("感冒\tdisease\tdepartment\t内科\tward\n", encoding="utf-8")
    assert read_graph(path).tails("感冒", "department") == ("内科",)
    with pytest.raises(ValueError, match="--scale"):
        generate(tmp_path, scale=9)
