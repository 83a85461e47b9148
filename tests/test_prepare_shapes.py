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


def test_ties_and_kinds_are_kept(converted):
    ranked = {"messages": RANKED[1]["messages"], "answers": ["a", "b", "c"], "ranks": [1, 2, 2],
              "meta": {"kinds": ["right", "cut", "wrong"], "ward": "7"}}
    (_, record), = converted("ranked", {"a.json": [ranked]})[0]
    assert record["ranks"] == [1, 2, 2] and record["meta"] == {"kinds": ["right", "cut", "wrong"]}


def test_records_of_our_own_form_keep_task_and_meta_and_lose_what_is_private(converted):
    def own(i, patient, task, reply, **meta):
        asked = f"患者张伟于2023年5月6日入院，第{i}次发热。"
        return {"id": "张伟", "task": task, "messages": [{"role": "user", "content": asked},
                {"role": "assistant", "content": reply}], "meta": {"patient": patient, **meta}}

    options = {"A": "张伟", "B": "2023年5月6日"}
    records, counts = converted("messages", {"a.json": [
        *(own(i, i % 9, "diagnosis", "诊断：肺炎", label="肺炎", aliases=["张伟的肺炎"], phone=13812345678)
          for i in range(90)),
        own(90, None, "exam", "答案：张伟（A）", options=options, answer="A"),
        own(91, "", "not a task!", "休息")]})
    assert "张伟" not in str(records) and "138" not in str(records) and "2023年5月6日" not in str(records)
    assert "fields of meta left out 90" in counts
    made = {int(said(record)[0][1].split("第")[1].split("次")[0]): (kind, record) for kind, record in records}
    assert len(made) == 92 and made[91][1]["task"] == "qa" and made[91][1]["meta"] == {}
    assert made[90][1]["task"] == "exam" and made[90][1]["meta"]["answer"] == "A"
    assert all(text in said(made[90][1])[0][1] for text in made[90][1]["meta"]["options"].values())
    seen = {}
    for i in range(90):
        kind, record = made[i]
        assert record["task"] == "diagnosis" and record["meta"]["label"] == "肺炎"
        assert record["meta"].keys() == {"label", "aliases"}
        assert record["meta"]["aliases"][0][:-3] in said(record)[0][1], "not the name of the question"
        seen.setdefault(i % 9, set()).add((kind, said(record)[0][1].split("第")[0]))
    assert all(len(alike) == 1 for alike in seen.values()), "a patient has two sets, names or dates"
    assert len({asked for alike in seen.values() for _, asked in alike}) == 9


def test_a_public_seed_is_said_for_private_records_alone(tmp_path, capsys):
    put(tmp_path / "in", {"a.json": [{"instruction": "q", "output": "a", "input": ""}]})
    for flags, hints in ([], 1), (["--seed", "s"], 0), (["--no-deidentify"], 0):
        convert("alpaca", tmp_path / "in", tmp_path / "out", *flags)
        assert capsys.readouterr().err.count("give --seed something secret") == hints
    command("x", lambda release, sets, name: sets.add_task("train", "qa", "1", ["q", "a"]),
            [str(tmp_path), "--out", str(tmp_path / "out")], name={"default": ""})
    assert capsys.readouterr().err == ""


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
    *(("ranked", [RANKED[0] | {"ranks": ranks}], ":2: 'ranks' are not 3 numbers, rising")
      for ranks in ([1, 2], [1, 3, 2], [1, 2, "3"], [1, 2, float("nan")], [True, 2, 3])),
    ("ranked", [RANKED[0] | {"ranks": None}], ":2: no list 'ranks'"),
    ("ranked", [RANKED[0] | {"meta": {"kinds": ["right", "wrong"]}}], ":2: meta's 'kinds' are not 3 words"),
    ("messages", [{"messages": [{"role": "user", "content": "q"}], "meta": {"patient": {}}}],
     ":2: 'patient' holds an object"),
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
