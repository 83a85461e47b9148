"""The report: no markup but ours, the numbers of the files, and always the same bytes."""
import json
import re
from xml.etree import ElementTree

import pytest

from clinicalgpt import report
from clinicalgpt.plots import groups_plot, number, sparkline, thinned, ticks
from clinicalgpt.report import markdown_table, read_metrics, run_section, write_report

EVIL = '<script>alert("1")</script> & | ![x](http://x.example/y.png) `a` **b**'


def run_folder(folder, lines):
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.json").write_text(json.dumps({"lr": 5e-5, "note": EVIL}, indent=2))
    return folder


def write(out, folder):
    score = {"value": 0.8125, "low": 0.77, "high": 0.85}
    write_report(
        out, EVIL, {EVIL: folder}, facts=[("command", EVIL), ("seed", 0)],
        results=[{"task": EVIL, "metric": EVIL, "note": EVIL, "models": {"base": score, EVIL: {"value": 7}}},
                 {"task": EVIL, "metric": f"- {EVIL} (3)", "main": False, "best": EVIL,
                  "models": {"base": score, EVIL: {"value": 0.9}}},
                 {"task": "qa", "metric": "win / tie / lose", "models": {EVIL: {"value": "45 / 40 / 15"}}}],
        tables={EVIL: [[EVIL, "n"], [EVIL, 3]]}, below=EVIL,
        samples=[{"question": EVIL, "answers": {"base": "发热\n咳嗽", EVIL: EVIL}}])
    return (out / "report.html").read_text(encoding="utf-8"), (out / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "sft", [
        {"step": step, "time": 1e9 + step, "loss": 1 / step, "lr": 0.0, "flag": True, EVIL: float("nan"),
         **({"valid_loss": 2.25} if step == 300 else {})} for step in range(1, 301)])


def check_escaped(page, text):
    body = re.sub("<style>.*</style>", "", page, flags=re.S)
    tree = ElementTree.fromstring(re.sub("<meta[^>]*>|<!doctype html>", "", body))
    assert {element.tag for element in tree.iter()} <= set(
        "html head title body h1 h2 h3 h4 p div article figure figcaption span b i svg line text g path "
        "circle table tr th td small details summary pre".split())
    text = re.sub("(?m)^    .*", "", text)                         # an indented line is shown as it is
    assert not re.search(r"(?<!\\)(<script|\]\(|`|\*\*b)|\](?=\()", text)


def test_nothing_escapes(tmp_path, folder):
    check_escaped(*write(tmp_path / "out", folder))


def test_the_escape_check_has_teeth(tmp_path, folder, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises((AssertionError, ElementTree.ParseError)):
        patch.setattr(report, "escape", lambda text: text)
        check_escaped(*write(tmp_path / "page", folder))
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(report, "markdown", str)
        check_escaped(*write(tmp_path / "text", folder))


def test_the_report_says_what_the_files_say(tmp_path, folder):
    page, text = write(tmp_path / "out", folder)
    assert write(tmp_path / "again", folder) == (page, text)
    assert page.count("<figure>") == 4                    # a group, loss, lr and the one with the evil name
    for words in ("valid 2.25", "300 not finite", "step 300", "0.812 <small>[0.770, 0.850]<", "45 / 40 / 15"):
        assert words in page
    assert re.search(r"\| loss +\| 1 +\| 0\.003333 \| 1 +\| 0\.003333 \| █▂", text)
    assert "0.812 [0.770, 0.850]" in text and "| 发热 咳嗽" in text and '    "lr": 5e-05' in text
    assert not re.search(r"(src|href)=|@import|url\(", page)       # nothing to fetch


def test_a_page_without_results(tmp_path):
    write_report(tmp_path, "one step", {"sft": run_folder(tmp_path / "sft", [{"step": 1, "loss": 2.0}])})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Results" not in page and page.count("<circle") == 1


def test_metrics_of_a_resumed_and_of_a_broken_run(tmp_path):
    lines = [{"step": 1, "loss": 3}, {"step": 2, "loss": 9}, {"step": 2, "loss": 2}]
    folder = run_folder(tmp_path / "run", lines)
    assert read_metrics(folder) == {"loss": [(1, 3), (2, 2)]}
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n{"step": 2, "lo')
    with pytest.raises(ValueError, match=r"metrics.jsonl:2: not a JSON line"):
        read_metrics(folder)


@pytest.mark.parametrize(("log", "line", "says"), [
    ("metrics", {"loss": 1}, "no 'step' that is int"), ("metrics", {"step": "1"}, "no 'step' that is int"),
    ("alarms", {"step": 1, "alarm": "x"}, "no 'why' that is str"),
    ("samples", {"step": 1, "prompt": ["x"], "answer": "y"}, "no 'prompt' that is str"),
    ("samples", [1], "a list, not a JSON object")])
def test_a_damaged_log_is_one_clear_line(log, line, says, tmp_path):
    folder = run_folder(tmp_path / "run", [{"step": 1, "loss": 3}])
    (folder / f"{log}.jsonl").write_text(json.dumps(line))
    with pytest.raises(ValueError, match=f"{log}.jsonl:1: {says}"):
        run_section(folder)


def test_numbers_and_axes():
    values = {3: "3", 0.70012: "0.7001", 5e-5: "5e-05", 12345.6: "12,346", float("inf"): "inf"}
    assert [number(value) for value in values] == list(values.values())
    assert ticks(0.3, 3.7) == [0, 1, 2, 3, 4] and ticks(-1, 1) == [-1, -0.5, 0, 0.5, 1]
    assert ticks(2, 2) == [1, 1.5, 2, 2.5, 3] and ticks(0, 0) == [-0.5, 0, 0.5]
    assert list(thinned([(1, 2), (2, 4), (3, 9)], 2)) == [(1, 2, 2, 2), (3, 6.5, 4, 9)]
    assert sparkline([(i, i) for i in range(8)]) == "▁▂▃▄▅▆▇█" and sparkline([(1, 5)]) == "▄"


def test_a_few_main_rows_come_first_and_all_follow_by_task(tmp_path):
    cell = {"a": {"value": 0.25}, "b": {"value": 0.5, "low": 0.25, "high": 0.75}}
    rows = [{"task": "exam", "metric": "accuracy", "models": cell, "main": True, "best": "b", "note": "why"},
            {"task": "exam", "metric": "- x (4)", "models": cell, "main": False, "note": "why"},
            {"task": "qa", "metric": "words", "models": {"b": {"value": 3}}, "main": False, "note": "mean"}]
    write_report(tmp_path, "t", {}, rows, below="3 of 4 were asked in training")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    first, _, exam, qa = re.split("^## ", text, flags=re.M)[1:]
    assert "0.500 \u25b2 [0.250, 0.750]" in first and "0.250 |" in first and "- x (4)" not in first
    assert "above each other model" in first and "above each other model" not in qa
    assert all(part.count("3 of 4 were asked in training") == 1 for part in (first, exam, qa))
    assert "accuracy, - x (4): why" in exam and "words: mean" in qa


def test_a_group_stands_at_its_value():
    """On a scale from 0 to 1 that begins at 130 and ends at 330, 0.25 is at 180; b's interval, 180 to 280."""
    one = {"a": {"value": 0.25}, "b": {"value": 0.5, "low": 0.25, "high": 0.75}}
    rows = [{"metric": "- x (4)", "models": one}, {"metric": "- y (4)", "models": {"a": {"value": 1.0}}}]
    figure = ElementTree.fromstring(groups_plot("exam", rows, ["a", "b"]))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in figure.iter("circle")]
    assert circles == [(180, 16), (230, 27), (330, 46)]         # a line is 11 high, a group 2 of them and 8
    assert [path.get("d") for path in figure.iter("path")][1] == "M180.0,27H280.0"
    assert [text.text for text in figure.iter("text")][-2:] == ["x (4)", "y (4)"]


def test_markdown_table_is_aligned_in_a_terminal():
    assert markdown_table([["task", "值"], ["问答", 0.5], ["a|b", "x\ny"]]) == (
        "| task | 值  |\n"
        "| ---- | --- |\n"
        "| 问答 | 0.5 |\n"
        "| a\\|b | x y |\n")


def test_what_a_run_of_ppo_shows(tmp_path):
    """The held-out reward over its KL, alarms, and what was said to the same prompt at first, half-way and at
    last; texts that hold markup stay texts."""
    run = run_folder(tmp_path / "ppo", [{"step": step, "valid_reward": step / 10, "valid_kl": step / 4}
                                        for step in (1, 2, 3)])
    (run / "alarms.jsonl").write_text(json.dumps({"step": 2, "alarm": "hacked", "why": EVIL}) + "\n")
    said = [{"step": step, "prompt": prompt, "answer": EVIL} for step in range(1, 6)
            for prompt in ("always", f"once {step}")]
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    page, text = write(tmp_path / "out", run)
    check_escaped(page, text)
    assert "held-out reward by KL" in page and "KL 0.25</text>" in page and "KL 0.75</text>" in page
    assert "ALARM at step 2, hacked" in page and "ALARM at step 2, hacked" in text
    assert [f"step {s}</h4>" in page for s in range(1, 6)] == [True, False, True, False, True]
    assert "once" not in page
