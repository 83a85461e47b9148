"""The converters of shapes that many sources share: Alpaca, ShareGPT, messages, ranked answers."""
import importlib
import json

import pytest

from data.releases import Sets, apart, command


def convert(name, release, out, *flags):
    module = importlib.import_module(f"data.prepare_{name}")
    flag = {"default": "", "help": "as in the module"}
    command(name, module.convert, [str(release), "--out", str(out), *flags], name=flag)


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in files.items():
        text = records if isinstance(records, str) else json.dumps(records, ensure_ascii=False, indent=1)
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def converted(tmp_path, capsys):
    """A function: name, {file: records} -> [(set, record)] and the line of counts."""
    def run(name, files, *flags, stem=""):
        put(tmp_path / name, files)
        convert(name, tmp_path / name, tmp_path / "out", *flags)
        stem = stem or name
        records = [(path.stem.removeprefix(f"{stem}_"), json.loads(line))
                   for path in sorted((tmp_path / "out").glob(f"{stem}_*"))
                   for line in path.read_text(encoding="utf-8").splitlines()]
        return records, capsys.readouterr().out
    return run


def said(record):
    return [(message["role"], message["content"]) for message in record["messages"]]


def test_alpaca(converted):
    records, counts = converted("alpaca", {"a.json": [
        {"instruction": "翻译", "input": "fever", "output": "发热"},
        {"instruction": "怎么办", "output": "休息", "system": "你是医生", "history": [["咳嗽", "几天了"]]},
        {"instruction": "怎么办", "input": None, "output": " "}]})
    assert sorted((record["task"], said(record)) for _, record in records) == [
        ("dialogue", [("system", "你是医生"), ("user", "咳嗽"), ("assistant", "几天了"), ("user", "怎么办"),
                      ("assistant", "休息")]),
        ("qa", [("user", "翻译\nfever"), ("assistant", "发热")])]
    assert "in 3, out 2" in counts and "no answer to a user 1" in counts


def test_a_set_may_have_a_name_and_files_their_splits(converted):
    def record(word):
        return [{"instruction": word, "output": "答"}]

    files = {"med_train.json": record("甲"), "med_dev.json": record("乙"), "med-test.jsonl": record("丙")}
    records, counts = converted("alpaca", files, "--name", "my-set", stem="my-set")
    assert {kind: said(record)[0][1] for kind, record in records} == dict(train="甲", valid="乙", test="丙")
    assert all(record["source"] == "my-set" and record["id"].startswith("my-set-") for _, record in records)
    assert counts.startswith("my-set: in 3")


def test_files_of_one_split_are_split_by_their_questions(converted):
    many = [{"instruction": f"第{i}问", "output": "答"} for i in range(90)]
    assert {kind for kind, _ in converted("alpaca", {"train.json": many})[0]} == {"train", "valid", "test"}


CHAT = [("system", "S"), ("assistant", "Hi"), ("user", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]


@pytest.mark.parametrize("name, shape, words", [
    ("messages", ("messages", "role", "content"), {}),
    ("sharegpt", ("conversations", "from", "value"), {}),
    ("sharegpt", ("conversations", "from", "value"), {"user": "human", "assistant": "gpt"})])
def test_conversations(converted, name, shape, words):
    turns, role, text = shape

    def record(chat):
        return {turns: [{role: words.get(speaker, speaker), text: content} for speaker, content in chat]}

    chats = [CHAT, [("user", "no answer")], [*CHAT[2:5], ("system", "late"), *CHAT[2:5]],
             [("user", "x"), ("tool", "y")], [("user", [{"type": "image"}]), ("assistant", "y")],
             [("user", "x"), ("assistant", None)]]
    records, counts = converted(name, {"a.json": [record(chat) for chat in chats]})
    assert [said(record) for _, record in records] == [[CHAT[0], ("user", "a\nb"), ("assistant", "c")]]
    assert "more than words of user and assistant 4, no answer to a user 1" in counts


RANKED = [
    {"question": "q1", "answers": ["best", "fair", "bad"]},
    {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "q2"}], "chosen": "a",
     "rejected": "b"},
    {"conversations": [{"from": "human", "value": "q3"}], "chosen": {"from": "gpt", "value": "a"},
     "rejected": {"from": "gpt", "value": "b"}},
    {"instruction": "q", "input": "4", "chosen": "a", "rejected": "b"},
    {"question": "q5", "response_chosen": "a", "response_rejected": "b"},
    {"prompt": "q6", "chosen": [{"role": "user", "content": "q6"}, {"role": "assistant", "content": "a"}],
     "rejected": [{"role": "user", "content": "q6"}, {"role": "assistant", "content": "b"}]},
    {"chosen": [{"role": "user", "content": "q7"}, {"role": "assistant", "content": "a"}],
     "rejected": [{"role": "user", "content": "q7"}, {"role": "assistant", "content": "b"}]}]


def test_ranked(converted):
    records, counts = converted("ranked", {"a.json": [
        *RANKED, {"question": "q8", "answers": ["one"]}, {"question": "q9", "answers": ["same", "same"]},
        {"messages": [*RANKED[1]["messages"], {"role": "assistant", "content": "x"}],
         "answers": ["a", "b"]}]})
    found = {said(record)[-1][1]: (said(record)[:-1], record["answers"]) for _, record in records}
    assert found == {"q1": ([], ["best", "fair", "bad"]), "q2": ([("system", "S")], ["a", "b"]),
                     **{f"q{i}": ([], ["a", "b"]) for i in (3, 5, 6, 7)}, "q\n4": ([], ["a", "b"])}
    assert {kind for kind, _ in records} <= {"preferences_train", "preferences_valid"}
    assert "in 10, out 7" in counts and "turns out of order, or one answer 2" in counts


def test_two_rankings_of_one_question_are_no_repeat_but_a_copy_is():
    sets = Sets("x")
    for answers in ["a", "b", "c"], ["a", "c", "b"], ["a", "b", "c"]:
        sets.add_ranking("train", "1", [{"role": "user", "content": "q"}], answers)
    kept, dropped = apart(sets.records)
    assert [record["answers"] for record in kept["preferences_train"]] == [["a", "b", "c"], ["a", "c", "b"]]
    assert dropped == {"repeated": 1}


def test_all_rankings_of_a_question_are_in_one_set(converted):
    pairs = [{"question": f"q{i % 30}", "chosen": f"a{i}", "rejected": "b"} for i in range(90)]
    records, sets = converted("ranked", {"a.json": pairs})[0], {}
    assert len(records) == 90, "none was in two sets, and lost to one of them"
    for kind, record in records:
        sets.setdefault(said(record)[0][1], set()).add(kind)
    assert len(sets) == 30 and all(len(kinds) == 1 for kinds in sets.values())


USER, GPT = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}


@pytest.mark.parametrize("name, content, fault", [
    ("alpaca", [{"input": "q", "output": "a"}], ":2: no text 'instruction' (found only input, output)"),
    ("alpaca", [{"instruction": "q", "output": 7}], ":2: no text 'output'"),
    ("alpaca", [{"instruction": "q", "output": "a", "history": 7}], ":2: 'history' should be pairs"),
    ("alpaca", [{"instruction": "q", "output": "a", "history": [["q"]]}], ":2: 'history' should be pairs"),
    ("alpaca", [{"instruction": "q", "output": "a", "system": []}], ":2: no text 'system'"),
    ("alpaca", '{"instruction": "q"', ":1: the record here is not JSON"),
    ("alpaca", '[{"instruction": "q", "output": "a"}', ":1: the list has no end"),
    ("alpaca", "9" * 5000, ":1: no records"),
    ("alpaca", '{"instruction": ' + "9" * 5000, ":1: the record here is not JSON"),
    ("alpaca", '{"instruction": ' + "[" * 100_000, ":1: the record here is not JSON"),
    ("sharegpt", [{"conversations": [USER, {"from": "cat", "value": "a"}]}], ":2: a turn has no 'from' "),
    ("sharegpt", [{"conversations": [USER, "a"]}], ":2: a turn has no 'from' among"),
    ("sharegpt", [{"conversations": [USER, {"from": "gpt", "text": "a"}]}], ":2: no text 'value'"),
    ("sharegpt", [{"conversations": {}}], ":2: no list 'conversations'"),
    ("messages", [{"conversations": [USER, GPT]}], ":2: no list 'messages' (found only conversations)"),
    ("ranked", [{"question": "q", "answers": "ab"}], ":2: no list 'answers'"),
    ("ranked", [{"question": "q", "answers": ["a", 7]}], ":2: no text 'answer'"),
    ("ranked", [{"question": "q", "chosen": "a"}], ":2: no text 'answer'"),
    ("ranked", [{"chosen": "a", "rejected": "b"}], ":2: no text 'question'"),
])
def test_damage_is_named_and_nothing_is_written(tmp_path, capsys, name, content, fault):
    put(tmp_path / "in", {"a.json": content})
    with pytest.raises(SystemExit) as stop:
        convert(name, tmp_path / "in", tmp_path / "out")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert error.startswith(f"{tmp_path}/in/a.json{fault}") and ";" in error, error


def test_a_name_cannot_lead_out_of_the_folder(tmp_path, capsys):
    put(tmp_path / "in", {"a.json": [{"instruction": "q", "output": "a"}]})
    with pytest.raises(SystemExit):
        convert("alpaca", tmp_path / "in", tmp_path / "out", "--name", "../x")
    assert "--name ../x: use letters" in capsys.readouterr().err
