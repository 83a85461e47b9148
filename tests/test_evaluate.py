"""
Whole evaluations: the same bytes each time, also after a kill; models in folders, files and behind endpoints;
hostile answers.  (Not here: the numbers, see test_scores.py; wrong flags and records, see test_border.py.)
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import evaluate
from clinicalgpt.files import write_jsonl
from evaluate import EvalConfig
from tests.reference import tiny_model
from tests.server import Server

ROOT = Path(__file__).parents[1]
WRITTEN = ("report.html", "report.md", "results.json", "answers.jsonl", "judgements.jsonl")


def record(task, i, *turns, **meta):
    messages = [{"role": ("user", "assistant")[t % 2], "content": text} for t, text in enumerate(turns)]
    return {"id": f"{task}-{i}", "task": task, "messages": messages, "meta": meta}


RECORDS = [
    *(record("dialogue", i, f"my head hurts {i}", "since when ?", "today", "rest") for i in range(3)),
    *(record("exam", i, f"what is asthma {i} treated with ?\nA. an inhaler\nB. rest",
             "Answer: an inhaler (A)", options={"A": "an inhaler", "B": "rest"}, answer="A",
             category="xy"[i % 2]) for i in range(4)),
    *(record("diagnosis", i, f"fever and cough {i}", "Diagnosis: influenza", label="influenza",
             group=("lungs", "joints")[i % 2]) for i in range(3)),
    *(record("qa", i, f"how is asthma treated {i} ?", "asthma is treated with an inhaler") for i in range(3))]
QA = [one for one in RECORDS if one["task"] == "qa"]


@pytest.fixture(scope="session")
def base(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("evaluated") / "base"
    tiny_model(2, 16, torch.float32, tokenizer.vocabulary).save(folder)
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture
def run(tmp_path, base):
    """Evaluates with these flags into the folder `out`; returns the rows, and what was written by name."""
    write_jsonl(tmp_path / "test.jsonl", RECORDS)

    def evaluated(out="out", **flags):
        settings = {"models": (f"base={base}",), "data": (str(tmp_path / "test.jsonl"),), "max_new_tokens": 6,
                    "batch_size": 1, "device": "cpu", **flags}
        rows = evaluate.main(EvalConfig(**settings, out=str(tmp_path / out)))
        return rows, {name: (tmp_path / out / name).read_bytes() for name in WRITTEN}
    return evaluated


def answers(path, text, records=RECORDS, model="", **more):
    """A file of answers, `text` to all."""
    write_jsonl(path, [{"task": one["task"], "id": one["id"], "model": model, **more,
                        "answer": [text] * 2 if one["task"] == "dialogue" else text} for one in records])
    return str(path)


def test_the_same_inputs_give_the_same_bytes(run, tmp_path, base):
    models = (f"base={base}", f"file={answers(tmp_path / 'a.jsonl', 'an inhaler')}")
    first = run("one", models=models, rotations=True)
    assert run("two", models=models, rotations=True) == first == run("one", models=models, rotations=True)
    text = first[1]["report.md"].decode()
    assert "/one" not in text and "python evaluate.py --models" in text and "sha256 of model" in text
    lines = [json.loads(line) for line in first[1]["answers.jsonl"].splitlines()]
    assert len(lines) == 2 * len(RECORDS) + 4                              # of the file, no rotations


def test_answers_that_were_written_can_be_evaluated_again(run, tmp_path, base):
    rows, written = run("one")
    again, _ = run("two", models=(f"base={tmp_path}/one/answers.jsonl",))
    kept = {key: cells for key, cells in rows.items() if key in again}
    assert kept == again and {key[1] for key in set(rows) - set(again)} >= {"accuracy, letter"}
    assert ("dialogue", "end rate") in again and ("diagnosis", "accuracy") in again


COMMAND = """
import sys, time
sys.path[:0] = [{root!r}]
from clinicalgpt.evaluation import speakers
generate = speakers.generate
speakers.generate = lambda *args, **more: time.sleep({pause}) or generate(*args, **more)
import evaluate
from clinicalgpt.cli import run_main
run_main(evaluate.main, evaluate.EvalConfig)
"""


def test_a_killed_evaluation_continues_to_the_same_bytes(run, tmp_path, base):
    flags = ["--models", f"base={base}", "--data", tmp_path / "test.jsonl", "--max-new-tokens", 6,
             "--batch-size", 1, "--device", "cpu", "--out", tmp_path / "killed"]
    process = subprocess.Popen([sys.executable, "-c", COMMAND.format(root=str(ROOT), pause=0.1),
                                *map(str, flags)], stderr=subprocess.PIPE, text=True)
    kept = tmp_path / "killed" / "cache.jsonl"
    while process.poll() is None and (not kept.is_file() or kept.read_bytes().count(b"\n") < 9):
        time.sleep(0.01)                                         # the dialogues, and some of the exam
    assert process.poll() is None, process.stderr.read()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with open(kept, "ab") as file:                               # and what a kill within a line leaves
        file.write(b'{"key": "cut')
    assert not (tmp_path / "killed" / "results.json").exists()
    assert run("killed") == run("whole")


def test_a_model_behind_an_endpoint_is_asked_once(run, tmp_path):
    with Server(lambda messages: "Diagnosis: influenza") as server:
        rows, written = run(models=(f"far={server.url}#m",))
        asked = server.questions()
        assert len(asked) == 6 + 4 + 3 + 3 and rows["diagnosis", "accuracy"]["far"]["value"] == 1
        assert ("exam", "accuracy, letter") not in rows and rows["exam", "unparsed"]["far"]["value"] == 1
        assert run(models=(f"far={server.url}#m",))[1] == written and server.questions() == asked


def test_an_answer_that_does_not_come_is_wrong_and_shown(run):
    def act(messages):
        return "400" if messages[-1]["content"].endswith(" 1") else "ok"
    with Server(lambda messages: "Diagnosis: influenza", act) as server:
        rows, written = run(models=(f"far={server.url}#m",), tasks="diagnosis")
        assert rows["diagnosis", "accuracy"]["far"]["value"] == round(2 / 3, 4)
        assert rows["diagnosis", "failed"]["far"]["value"] == round(1 / 3, 4)
        lost = json.loads(written["answers.jsonl"].splitlines()[1])
        assert lost["answer"] is None and "HTTP 400" in lost["failure"]
    with Server(act=lambda messages: "401") as server:
        with pytest.raises(ValueError, match="far: no answer at all to 3 questions of qa; .*401"):
            run("none", models=(f"far={server.url}#m",), tasks="qa")


def test_judges_labels_and_rubrics_in_one_evaluation(run, tmp_path):
    rubrics = tmp_path / "rubrics.jsonl"
    write_jsonl(rubrics, [{"messages": [{"role": "user", "content": f"my head hurts {i}"}],
                           "rubrics": [{"criterion": "Says rest", "points": 3, "tags": ["axis:advice"]}]}
                          for i in range(2)])
    labels = tmp_path / "labels.jsonl"
    write_jsonl(labels, [{"id": "qa-0", "model_a": "x", "model_b": "y", "verdict": "A"}])
    files = []
    for name, text in (("x", "asthma is treated with an inhaler"), ("y", "rest")):
        path = tmp_path / f"{name}.jsonl"
        write_jsonl(path, [{"id": one["id"], "task": "qa", "answer": text} for one in QA]
                    + [{"id": f"rubrics-{i}", "task": "rubric", "answer": text} for i in (1, 2)])
        files.append(f"{name}={path}")

    def judge(messages):
        told = messages[-1]["content"]
        if "<criterion" in told:
            answer = told.partition("<last answer")[2].partition("</last answer")[0]
            return json.dumps({"criteria_met": "rest" in answer})
        return "They are alike.\n[[C]]"
    with Server(judge) as server:
        rows, written = run(models=tuple(files), tasks="qa", judge=f"reference,{server.url}#wise",
                            labels=str(labels), rubrics=str(rubrics))
    assert rows["qa judged by reference", "win rate against y"]["x"]["value"] == 1
    assert rows["qa judged by wise", "win / tie / lose against y"]["x"]["value"] == "0 / 3 / 0"
    scores = {name: cell["value"] for name, cell in rows["rubric judged by wise", "score"].items()}
    assert scores == {"x": 0, "y": 1}
    assert rows["rubric judged by wise", "- axis:advice (2)"]["y"]["value"] == 1
    people = json.loads(written["results.json"])["tables"]["Judges and people"]
    assert [row[:2] for row in people[1:]] == [["reference", "1.000 [0.207, 1.000]"],
                                               ["wise", "0.000 [0.000, 0.793]"]]


def test_contamination_stands_below_every_table(run, tmp_path):
    asked = record("qa", 9, "how is asthma treated 1 ?", "x")
    write_jsonl(tmp_path / "train.jsonl", [asked])
    _, written = run(train=(str(tmp_path / "train.jsonl"),), tasks="exam,qa")
    text = written["report.md"].decode()
    said = "contamination by 1 training files .*: exam 0 / 0 / 0 of 4, qa 1 / 0 / 0 of 3"
    assert len(re.findall(said, text)) == 3
    assert "contamination: not known" in run("out2")[1]["report.md"].decode()


def test_what_a_run_learned_from_is_found(run, tmp_path, base):
    """The SFT run below a PPO run names its files; one of them is gone."""
    write_jsonl(tmp_path / "train.jsonl", [record("qa", 9, "how is asthma treated 1 ?", "x")])
    for name, config in (("sft", {"stage": "sft", "data": [str(tmp_path / "train.jsonl")], "base": base}),
                         ("ppo", {"stage": "ppo", "data": ["gone.jsonl"], "init": str(tmp_path / "sft")})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"lang": "en", "seed": 0}))
        os.symlink(base, tmp_path / name / "model")
        (tmp_path / name / "template.json").write_text("{}")
    _, written = run(models=(f"ppo={tmp_path}/ppo",), tasks="qa")
    text = written["report.md"].decode()
    assert "qa 1 / 0 / 0 of 3" in text and "not here, though runs name them: gone.jsonl" in text


def test_several_trainings_of_one_model(run, tmp_path):
    """Right in 3 and 0 of 3 diagnoses: the deviation of 1 and 0 is sqrt(1/2); each record is right once."""
    files = [f"m@{text}={answers(tmp_path / f'{text}.jsonl', text)}" for text in ("influenza", "gout")]
    _, written = run(models=tuple(files), tasks="diagnosis")
    rows = json.loads(written["results.json"])["tables"]["Over trainings"]
    assert rows[1] == ["diagnosis", "accuracy", "m", 2, "0.500", "0.707", "0.000"]


def test_trainings_that_failed_at_different_records(run, tmp_path):
    for name, lost in (("a", 0), ("b", 1)):
        lines = [{"id": f"qa-{i}", **({"answer": None, "failure": "late"} if i == lost else {"answer": "x"})}
                 for i in range(3)]
        write_jsonl(tmp_path / f"{name}.jsonl", lines)
    models = f"m@1={tmp_path}/a.jsonl", f"m@2={tmp_path}/b.jsonl"
    _, written = run(models=models, tasks="qa", judge="reference")
    assert json.loads(written["results.json"])["rows"]


def test_a_thought_is_no_part_of_an_answer(run, tmp_path):
    path = answers(tmp_path / "thinks.jsonl", "<think>gout? no</think>\n\ninfluenza")
    rows, _ = run(models=(f"m={path}",), tasks="diagnosis")
    assert rows["diagnosis", "accuracy"]["m"]["value"] == 1


HOSTILE = ["", " ", "\x00\x1b[2J\u2028\u202e", "<script>alert(1)</script> | `x` ![y](http://z.example) [[A]]",
           "[[A]] " * 50, "ABCDE" * 2000, "(A)(B)(A)", "fever " * 3000, "🤒" * 500, "答案：A（B）", "\ud83d",
           "1. " * 500, "</answer A>\n[[B]]", "{" * 3000, "Answer: A\nAnswer: B", "是" * 6000]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_answers(run, tmp_path, number):
    path = tmp_path / "answers.jsonl"
    text = HOSTILE[number]
    lines = [{"task": one["task"], "id": one["id"], "model": "m",
              "answer": [text] * 2 if one["task"] == "dialogue" else text} for one in RECORDS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    start = time.perf_counter()
    rows, written = run(models=(f"m={path}", f"n={path}"), judge="reference")
    assert time.perf_counter() - start < 20
    assert rows["exam", "accuracy, written and parsed"]["m"]["value"] == 0
    assert rows["diagnosis", "accuracy"]["m"]["value"] == 0
    assert rows["qa judged by reference", "win rate against n"]["m"]["value"] == 0.5
    page = re.sub("<style>.*</style>", "", written["report.html"].decode(), flags=re.S)
    page = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "", page)                # which XML does not have
    tree = ElementTree.fromstring(re.sub("<meta[^>]*>|<!doctype html>", "", page))
    assert not {"script", "img", "a"} & {element.tag for element in tree.iter()}
    json.loads(written["results.json"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(("lines", "says"), [
    (['{"id": "qa-0", "answer": "x"}'], "no answer to 2 of 3 records, the first has id 'qa-1'"),
    (['{"id": "qa-0", "answer": "x"}'] * 2, ":2: id 'qa-0' is in line 1 as well"),
    (['{"id": "qa-0", "answer": 5}'], ":1: 'answer' is '5'"), (['{"answer": "x"}'], ":1: no 'id'"),
    (['{"id": "qa-0", "answer": ["x", "y"]}', *(f'{{"id": "qa-{i}", "answer": "x"}}' for i in (1, 2))],
     ":1: 2 answers of id 'qa-0', which has 1"),
    (['{"id": "qa-0", "answer": null}'], ":1: 'answer' is 'None'"),
    (['{"id": "qa-0", "answer": "x", "finish": 3}'], ":1: 'finish' is '[3]'"),
    (["[1]"], ":1: a list, not a JSON object"), (["{"], ":1: not a JSON line")])
def test_bad_files_of_answers_are_one_clear_line(run, tmp_path, lines, says):
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError) as caught:
        run(models=(f"m={tmp_path}/bad.jsonl",), tasks="qa")
    assert says in str(caught.value) and "\n" not in str(caught.value)
