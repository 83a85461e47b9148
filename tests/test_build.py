"""Building a data set: what is dropped and why, weights, killed builds, damage; and the card."""
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from data import build, card, hygiene, stages
from data.build import Rules

ROOT = Path(__file__).parents[1]
EVIL = '<script>alert("1")</script> & | ![x](http://x.example/y.png) `a` **b**'


def text(seed, length=60):
    rng = random.Random(seed)
    return "".join(chr(0x4e00 + rng.randrange(3000)) for _ in range(length))


def record(id, question, answer, task="qa", **meta):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": id, "source": "x", "task": task, "messages": turns, "meta": meta}


def pair(id, question, chosen, rejected):
    return {"id": id, "source": "x", "messages": [{"role": "user", "content": question}], "chosen": chosen,
            "rejected": rejected}


def as_line(item):
    return json.dumps(item, ensure_ascii=False).encode()


def put(path, *records):
    lines = (item if isinstance(item, bytes) else as_line(item) for item in records)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


SENTENCES = [text(f"sentence {i}", 40) for i in range(6)]
LEAK = "，".join(text("test 0")[i:i + 7] for i in range(0, 60, 7))


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Two sources in pieces of a few records, with one of each kind of fault."""
    monkeypatch.setattr(build, "PIECE", 6000)
    monkeypatch.setattr(build, "SLICE", 15)
    monkeypatch.chdir(tmp_path)
    long = "。".join(SENTENCES)
    put(tmp_path / "a_train.jsonl",
        *(record(f"a-{i}", text(f"q{i}"), text(f"a{i}"), group="digestive") for i in range(20)),
        record("a-long", text("long"), long),
        record("a-copy", f"{text('q3')[:30]}， {text('q3')[30:]}？", f"{text('a3')}！"),
        record("a-near", text("long"), long.replace(SENTENCES[2], text("another", 40))),
        record("a-far", text("long"), "。".join([*SENTENCES[:4], text("rest", 82)])),    # J = 0.59
        record("a-leak", f" {LEAK} ？！", text("other answer")),
        record("a-inside", f"医生，{LEAK}，这该怎么办呢？", text("third answer")),
        record("a-control", "头痛\u0001怎么办？", "休息"), record("a-empty", "头痛怎么办？", " "),
        b"", *(record(f"a-same{i}", f"{text(f'same {i}')}？", "请到正规医院就诊") for i in range(4)),
        *(record(f"a-exam{i}", f"{text(f'exam {i}')}？", "答案：胃（A）", task="exam") for i in range(4)),
        record("a-russian", "Как лечить грипп?", "Отдых и тепло."))
    put(tmp_path / "b_test.jsonl",
        *(record(f"b-{i}", text(f"test {i}"), text(f"answer {i}")) for i in range(3)),
        record("b-kg", text("kg"), text("kg answer"), task="kg"),
        record("b-exam", text("b-exam"), "答案：胃（A）", task="exam", options={"A": "胃"}),
        record("b-label", text("b-label"), "诊断：胃炎", task="diagnosis"))
    put(tmp_path / "b_valid.jsonl", record("b-v", text("q5"), text("valid answer")))
    put(tmp_path / "b_preferences_train.jsonl",
        *(pair(f"b-p{i}", text("pq"), text("best"), text(f"worse {i}")) for i in range(3)),
        pair("b-leak", text("test 1"), text("better"), text("worse")),
        pair("b-copy", text("pq") + "?", text("best"), text("worse 1")))
    return ["a=a_train.jsonl:1", "b=b_*.jsonl"]


RULES = Rules(same_answer=3)
EXPECTED = {                                         # id: (reason, the record that it repeats)
    "a-copy": ("repeated", "a-3"), "a-near": ("near copy", "a-long"), "a-leak": ("asked in test", "b-0"),
    "a-inside": ("text of a test question", "b-0"), "a-control": ("control characters", None),
    "a-empty": ("empty", None), "a-russian": ("language", None), "a-5": ("asked in valid", "b-v"),
    "b-exam": ("test without the meta that scores it", None),
    "b-label": ("test without the meta that scores it", None),
    "b-leak": ("asked in test", "b-1"), "b-copy": ("repeated", "b-p1"),
    **{f"a-same{i}": ("answer of many questions", None) for i in range(4)}}


def read(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def run(out, sources, rules=RULES, **more):
    said = build.build(Path(out), sources, rules, **{"workers": 1} | more)
    return said, {path.name: path.read_bytes() for path in Path(out).iterdir()}


def check_rejects(sources, out="out"):
    run(out, sources)
    rejects = {reject["id"]: reject for reject in read(f"{out}/rejects.jsonl")}
    assert {id: (reject["reason"], reject.get("repeats")) for id, reject in rejects.items()} == EXPECTED
    return rejects


def test_each_fault_is_dropped_with_its_reason(sources):
    rejects = check_rejects(sources)
    assert rejects["a-copy"] == {"file": "a_train.jsonl", "line": 22, "id": "a-copy", "reason": "repeated",
                                 "repeats": "a-3", "at": "a_train.jsonl:4"}
    assert rejects["a-same0"]["line"] == 30, "the blank line was not counted"
    train = {record["id"]: record for record in read("out/train.jsonl")}
    assert set(train) == {f"a-{i}" for i in range(20) if i != 5} | {"a-long", "a-far"} | \
        {f"a-exam{i}" for i in range(4)}
    assert train["a-7"] == record("a-7", text("q7"), text("a7"), group="digestive")
    assert {record["id"] for record in read("out/test_qa.jsonl")} == {"b-0", "b-1", "b-2", "b-kg"}
    assert [record["id"] for record in read("out/valid.jsonl")] == ["b-v"]
    assert {record["id"] for record in read("out/preferences_train.jsonl")} == {"b-p0", "b-p1", "b-p2"}
    assert not Path("out/.build").exists()


@pytest.mark.parametrize("name, wrong", [
    ("normal", lambda text: text),
    ("repeats", lambda keys: np.arange(len(keys))),
    ("leaks", lambda index, texts, share: (np.empty(0, int),) * 3),
    ("jaccard", lambda one, other: 0.69),
    ("jaccard", lambda one, other: 1.0 if one & other else 0.0),
    ("same_answers", lambda answers, asked, most: np.zeros(len(answers), bool)),
    ("question", lambda record: record["messages"][0]["content"]),
    ("told", lambda record, answers=None: hygiene.normal(json.dumps(record["messages"][:1]))),
])
def test_the_check_of_rejects_has_teeth(sources, monkeypatch, name, wrong):
    monkeypatch.setattr(hygiene, name, wrong)
    with pytest.raises(AssertionError):
        check_rejects(sources)


def test_a_held_out_set_keeps_its_near_copies_and_training_loses_them(tmp_path, sources):
    long = "。".join(SENTENCES)
    near = long.replace(SENTENCES[1], text("near", 40))
    put(tmp_path / "n_test.jsonl", record("n-0", text(0, 12), long), record("n-1", text(1, 12), near))
    put(tmp_path / "n_train.jsonl", record("n-2", text(2, 12), long))
    run("out", ["n=n_*.jsonl"])
    assert len(read("out/test_qa.jsonl")) == 2 and not Path("out/train.jsonl").exists()
    assert [reject["reason"] for reject in read("out/rejects.jsonl")] == ["near copy in test"]


def test_workers_seeds_and_order(sources):
    _, one = run("one", sources)
    _, two = run("two", sources, workers=2)
    assert one == two
    _, other = run("other", sources, Rules(same_answer=3, seed=1))
    lines = [files["train.jsonl"].splitlines() for files in (one, other)]
    assert lines[0] != lines[1] and sorted(lines[0]) == sorted(lines[1])
    assert lines[0] != sorted(lines[0]), "the order is that of the input"


def test_weights(sources):
    def train(weight):
        rules = Rules(same_answer=3, prompts_from="a", pretrain=True)
        run("out", [f"a=a_train.jsonl:{weight}", "b=b_*.jsonl"], rules)
        path = Path("out/train.jsonl")
        return Counter(record["id"] for record in read(path)) if path.exists() else Counter()
    whole, half, double, more = train(1), train(0.5), train(2), train(2.5)
    assert len(whole) == 25 and set(half) < {*whole, "a-near"} and 6 <= len(half) <= 20
    assert double == whole + whole and more - double == half & whole, "a half is not the same half"
    assert train(0) == Counter() and len(read("out/test_qa.jsonl")) == 4
    assert train(2) == double and len(Path("out/pretrain.txt").read_text().splitlines()) == 25
    prompts = read("out/prompts.jsonl")                         # a-long and a-far ask the same
    assert {name: next(p for p in prompts if p["id"] == "a-7")[name] for name in ("task", "meta")} == {
        "task": "qa", "meta": {"group": "digestive"}}, "no rule can score it"
    assert len(prompts) == 24 and all([turn["role"] for turn in p["messages"]] == ["user"] for p in prompts)


def test_without_a_split_in_its_name_the_hash_of_the_id_decides(tmp_path, sources):
    put(tmp_path / "c.jsonl", *(record(f"c-{i}", text(f"c{i}"), text(f"ca{i}")) for i in range(200)))
    run("out", ["c=c.jsonl"])
    for name in "train", "valid", "test_qa":
        split = name.partition("_")[0]
        assert {stages.split_of(record["id"]) for record in read(f"out/{name}.jsonl")} == {split}
    assert stages.split_in("x/test_qa.jsonl") == stages.split_in("x_test.jsonl") == "test"
    assert stages.split_in("x_preferences_valid.jsonl") == "valid" and stages.split_in("contest.jsonl") == ""


class Killed(BaseException):
    pass


def test_a_build_killed_at_any_file_goes_on_to_the_same_bytes(sources, monkeypatch):
    _, whole = run("whole", sources)
    rename, count, moments = os.replace, [0], 0

    def failing(source, target):
        count[0] -= 1
        if count[0] == 0:
            raise Killed
        rename(source, target)
    monkeypatch.setattr(build.os, "replace", failing)
    while True:
        moments += 1
        out = Path(f"out{moments}")
        count[0] = moments
        try:
            run(out, sources)
            break
        except Killed:
            seen = {path.name for path in out.iterdir()} - {".build"}
            assert all((out / name).read_bytes() == whole[name] for name in seen), "a file half written"
            count[0] = 0
            _, again = run(out, sources, resume=True)
            assert again == whole, f"killed at file {moments}"
    assert moments > 25


def test_resuming_does_not_do_again_what_is_done(sources, monkeypatch):
    def stop(*_):
        raise Killed
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(stages, "candidates", stop)
        run("out", sources)
    monkeypatch.setattr(stages, "scan", stop)
    monkeypatch.setattr(stages, "find_leaks", stop)
    run("out", sources, resume=True)


def test_another_input_is_not_resumed(sources, monkeypatch, tmp_path):
    def stop(*_):
        raise Killed
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(stages, "candidates", stop)
        run("out", sources)
    with pytest.raises(ValueError, match="without --resume begins anew"):
        run("out", sources, Rules(seed=1), resume=True)
    put(tmp_path / "b_valid.jsonl", record("b-v", text("q6"), text("valid answer")))
    with pytest.raises(ValueError, match="without --resume begins anew"):
        run("out", sources, resume=True)
    assert Path("out/.build/plan.json").exists()
    run("out", sources)


def test_a_file_that_changes_meanwhile_is_named(sources, monkeypatch):
    count = build.count

    def changing(*arguments):
        put(Path("b_valid.jsonl"), record("b-v", text("q6"), text("valid answer")))
        return count(*arguments)
    monkeypatch.setattr(build, "count", changing)
    with pytest.raises(ValueError, match="b_valid.jsonl: changed while it was read"):
        run("out", sources)
    assert not Path("out").exists()


def test_a_killed_process_leaves_no_worker_and_goes_on(tmp_path):
    made = tmp_path / "d.jsonl"
    put(made, *(record(f"d-{i}", text(f"d{i}"), text(f"da{i}", 60) * 15) for i in range(4000)))   # two pieces
    run(tmp_path / "whole", [f"d={made}"], Rules())
    words = [sys.executable, "-m", "data.build", "--out", str(tmp_path / "out"), "--source", f"d={made}"]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    while child.poll() is None and not list((tmp_path / "out").glob(".build/scan/*.npz")):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=10)                                # workers hold the pipe as long as they live
    assert child.returncode == -signal.SIGKILL and not (tmp_path / "out/train.jsonl").exists()
    again = subprocess.run([*words, "--resume"], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    whole, resumed = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
                      for name in ("whole", "out"))
    assert whole == resumed


GOOD = json.dumps(record("g-1", "头痛？", "休息"), ensure_ascii=False).encode()


@pytest.mark.parametrize("line, fault", [
    (GOOD[:-5], "not a JSON line"), (GOOD[:30], "not a JSON line"),
    (GOOD.replace(b'"', b"'"), "not a JSON line"), (GOOD[:20] + b"\0" + GOOD[20:], "not a JSON line"),
    (GOOD.decode().encode("gb18030"), "not a JSON line ('utf-8' codec"),
    (b"[" * 100_000, "not a JSON line"), (b'{"id": ' + b"9" * 9000 + b"}", "not a JSON line"),
    (b"[1]", "a list, not a JSON object"), (b"null", "a NoneType, not"), (b"{}", "no text 'id' (found )"),
    (b'{"id": 3}', "no text 'id' (found id)"), (b'{"id": "x"}', "no 'messages' list"),
    (b'{"id": "x", "messages": [{"role": "cat", "content": "x"}]}', "a message that is not a role"),
    (b'{"id": "x", "messages": [{"role": "user", "content": ["x"]}]}', "a message that is not a role"),
    (GOOD.replace(b'"qa"', b'"../x"'), "no 'task' of letters"),
    (GOOD.replace(b'"task"', b'"kind"'), "no 'task' of letters"),
    (GOOD.replace(b"{}", b"[]"), "a 'meta' that"), (GOOD.replace(b"{}", b'{"group": []}'), "a 'meta' that"),
    (GOOD.replace(b'"task": "qa"', b'"chosen": "x"'), "neither 'answers'"),
    (GOOD.replace(b'"task": "qa"', b'"answers": ["x", 3]'), "neither 'answers'"),
])
def test_damage_is_one_line_and_nothing_is_written(tmp_path, sources, capsys, line, fault):
    workers = "2" if line == b"{}" else "1"
    put(tmp_path / "z.jsonl", *[GOOD] * 30, line, b"{", GOOD)
    with pytest.raises(SystemExit) as stop:
        build.main(["--out", "out", "--workers", workers, "--source", *sources, "z=z.jsonl"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and len(error) < 600
    assert error.startswith(f"z.jsonl:31: {fault}") and ";" in error, error
    assert not Path("out").exists()


@pytest.mark.parametrize("words, fault", [
    (["--source", "a"], "not NAME=FILES"), (["--source", "a=none*.jsonl"], "no file is called none*.jsonl"),
    (["--source", "a=a_train.jsonl:200"], "give 0 to 100"), (["--source", "a=empty.jsonl"], ":1: no records"),
    (["--source", "a=a_train.jsonl", "--near", "0.1"], "choose from 0.3"),
    (["--source", "a=a_train.jsonl", "--workers", "0"], "choose 1 or more"),
    (["--source", "a=a_train.jsonl", "--prompts-from", "b"], "no such source; there are a"),
    (["--source", "a=a_train.jsonl", "--licences", "bad.json"], "bad.json:1: not JSON"),
    (["--source", "a=a_train.jsonl", "--privacy", "list.json"], "list.json:1: not an object"),
    (["--source", "a=out/train.jsonl"], "choose another --out"),
])
def test_wrong_flags_are_one_line(tmp_path, sources, capsys, words, fault):
    Path("empty.jsonl").write_bytes(b"\n \n")
    Path("bad.json").write_text("{")
    Path("list.json").write_text('{"a": {"name": "3"}}')
    Path("out").mkdir()
    put(Path("out/train.jsonl"), GOOD)
    with pytest.raises(SystemExit) as stop:
        build.main(["--out", "out", "--workers", "1", *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and fault in error, error
    assert [path.name for path in Path("out").iterdir()] == ["train.jsonl"]


def test_marks_line_ends_and_stale_files(sources):
    line = json.dumps(record("m-1", "头痛？", "休息"), ensure_ascii=False).encode()
    escaped = GOOD.replace("休".encode(), b"\\u4f11")
    Path("m_train.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n  " + escaped)
    Path("out").mkdir()
    for name in "test_exam.jsonl", "prompts.jsonl", "notes.txt", "other_train.jsonl":
        Path("out", name).write_text("old")
    _, files = run("out", ["m=m_train.jsonl"])
    assert files["train.jsonl"] == line + b"\n" and read("out/rejects.jsonl")[0]["line"] == 2
    made = {"train.jsonl", "rejects.jsonl", "card.md", "card.html"}
    assert set(files) == made | {"notes.txt", "other_train.jsonl"}


def made_card():
    counts = {"sources": {EVIL: {"in": 9, "dropped": Counter({EVIL: 2, "empty": 1}),
                                 "out": Counter({"train.jsonl": 5, "test_qa.jsonl": 1})},
                          "toyhom": {"in": 1, "dropped": Counter(), "out": Counter({"train.jsonl": 1})}},
              "files": {"train.jsonl": 6, "test_qa.jsonl": 1}, "dropped": {EVIL: 2, "empty": 1},
              "languages": {"zh": 6, "en": 1}, "tasks": {"qa": 7}, "groups": {"": 5, EVIL: 2},
              "lengths": np.array([3, 24, 25, 49, 800, 6400, 9999]), "repeats": [[EVIL, "toyhom", EVIL, 2]],
              "examples": {"qa": [(EVIL, [("user", EVIL), ("assistant", EVIL * 9)], 160)]}}
    return card.card(counts, {"seed": 0, "languages": ("zh", "en"), "weights": {EVIL: 0.5, "toyhom": 1.0}},
                     {}, {EVIL: {"phone": 1234}})


def check_escaped(files):
    body = re.sub("<style>.*</style>|<meta[^>]*>|<!doctype html>", "", files["card.html"], flags=re.S)
    tree = ElementTree.fromstring(body)
    assert {element.tag for element in tree.iter()} <= set(
        "html head title body h1 h2 h3 h4 p div article figure figcaption b svg text path table tr th td"
        .split())
    assert not re.search(r"(?<!\\)(<script|\]\(|`|\*\*b)|\](?=\()", files["card.md"])


def test_the_card():
    files = made_card()
    check_escaped(files)
    lines = [" ".join(line.split()) for line in files["card.md"].splitlines()]
    assert "| toyhom | 1 | 0 | 1 | 1 | 0 | 0 | 0 | MIT |" in lines
    assert "| all | 10 | 3 | | 6 | 0 | 1 | 0 | |" in lines
    assert [line for line in lines if line.startswith(("| 0–24", "| 25–49", "| 800", "| 6400"))] == [
        "| 0–24 | 2 |", "| 25–49 | 2 |", "| 800–1599 | 1 |", "| 6400 and more | 2 |"]
    assert any(line.endswith("| not stated |") for line in lines)
    assert any("| 1,234 |" in line for line in lines)
    assert files == made_card() and "<script" not in files["card.html"]


@pytest.mark.parametrize("name, file", [("escape", "card.html"), ("markdown_table", "card.md")])
def test_the_escape_check_has_teeth(monkeypatch, name, file):
    raw = {"escape": lambda text: text,
           "markdown_table": lambda rows: "\n".join(" | ".join(row) for row in rows)}
    monkeypatch.setattr(card, name, raw[name])
    with pytest.raises((AssertionError, ElementTree.ParseError)):
        check_escaped(made_card())
