"""
What users do wrong.  Each mistake, in a command otherwise right, ends in exit status 2 and one line on stderr
that tells place, finding and remedy; and nothing is left behind that blocks the corrected command.
"""
import json
import shutil
import sys

import pytest
import torch

import evaluate as EVAL
import train_ppo as PPO
import train_reward as REWARD
import train_sft as SFT
from clinicalgpt.cli import run_main
from clinicalgpt.files import read_json, read_jsonl, write_json, write_jsonl
from clinicalgpt.run import Run
from clinicalgpt.weights import save_tensors
from tests.reference import tiny_model

CONFIG = {SFT: SFT.SFTConfig, REWARD: REWARD.RewardConfig, PPO: PPO.PPOConfig, EVAL: EVAL.EvalConfig}
USER, DOCTOR = {"role": "user", "content": "my head hurts"}, {"role": "assistant", "content": "influenza"}
ASKED, TOLD = {"messages": [USER]}, {"messages": [USER, DOCTOR], "task": "qa"}
RANKED = {"messages": [USER], "answers": ["rest", "run"]}
META = {"options": {"A": "influenza", "B": "gout"}, "answer": "A"}
EXAM = {**TOLD, "task": "exam", "meta": META}
RIGHT = {SFT: TOLD, REWARD: RANKED, PPO: ASKED, EVAL: TOLD}


@pytest.fixture(scope="session")
def made(tmp_path_factory, tokenizer):
    """A random BLOOM `base`, runs `sft` and `reward` of a step each, and right data for all scripts."""
    made = tmp_path_factory.mktemp("made")
    tiny_model(2, 16, torch.float32, tokenizer.vocabulary).save(made / "base")
    tokenizer.save(made / "base")
    for script, record in RIGHT.items():
        (made / f"{script.__name__}.jsonl").write_text(json.dumps(record))
    for script, out, start, folder in (SFT, "sft", "base", "base"), (REWARD, "reward", "init", "sft"):
        flags = {start: f"{made}/{folder}", "data": (f"{made}/{script.__name__}.jsonl",)}
        script.main(CONFIG[script](**flags, out=f"{made}/{out}", steps=1))
    return made


@pytest.fixture
def refused(made, tmp_path, monkeypatch, capsys):
    """Runs a script with right flags and then `flags`; its one line has to have all parts of `says`."""
    start = {SFT: f"--base {made}/base", REWARD: f"--init {made}/sft",
             PPO: f"--init {made}/sft --reward {made}/reward", EVAL: f"--models base={made}/base"}

    def run(script, *flags, says):
        name, out = script.__name__, tmp_path / "out"
        right = f"{name}.py --out {out} --data {made}/{name}.jsonl {start[script]}".split()
        monkeypatch.setattr(sys, "argv", right + [str(flag) for flag in flags])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            run_main(script.main, CONFIG[script])
        line = capsys.readouterr().err
        assert stop.value.code == 2
        assert line.count("\n") == 1 and line.endswith("\n"), f"not one line: {line}"
        assert line.startswith(f"{name}.py: ") and all(part in line for part in says.split(" .. ")), line
        if script is not EVAL:
            shutil.rmtree(Run(CONFIG[script](out=str(out)), "next").out)
    return run


@pytest.mark.parametrize("script, record, says", [
    (SFT, '{"messages": [', "not a JSON line .. one record a line"),
    (SFT, {"text": "?"}, "no 'messages' list (found ['text']) .. data/README.md describes the format"),
    (SFT, {"messages": [{**USER, "role": "doctor"}]}, "unknown role 'doctor' .. roles are system, user"),
    (SFT, ASKED, "no assistant message .. add the answer or drop the record"),
    (SFT, RANKED, "no assistant message .. train_reward.py reads ranked answers"),
    (SFT, {"messages": [USER, {**DOCTOR, "content": " "}]}, "without text .. or drop the record"),
    (REWARD, TOLD, "neither 'answers' (two texts or more .. nor 'chosen' and 'rejected'"),
    (REWARD, ASKED, "neither 'answers' (two texts or more .. nor 'chosen' and 'rejected'"),
    (REWARD, {**RANKED, "answers": ["rest", " "]}, "without text .. drop"),
    (REWARD, {**RANKED, "meta": {"kinds": ["good"]}}, "'kinds' .. answers"),
    (REWARD, {**RANKED, "meta": None}, "'meta' .. object"),
    (PPO, {"messages": [DOCTOR]}, "the last message is the assistant's .. it must be the user's"),
    (EVAL, {**EXAM, "meta": {"answer": "A"}}, "meta has no 'options' .. data/README.md describes the format"),
    (EVAL, {**EXAM, "meta": {**META, "answer": "C"}}, "answer 'C' .. options"),
    (EVAL, {**EXAM, "meta": {**META, "answer": "AC"}}, "answer 'AC' .. options"),
    (EVAL, {**EXAM, "meta": {**META, "options": {"A": "influenza"}}}, "options .. repair the record"),
    (EVAL, {**EXAM, "meta": {**META, "options": {"A": "influenza", "b": "gout"}}}, "options .. capitals"),
    (EVAL, {**TOLD, "task": "diagnosis", "meta": {"label": ["flu"]}}, "label ['flu'] is no text"),
    (EVAL, {**TOLD, "task": "diagnosis", "meta": {"label": None}}, "label None is no text"),
    (EVAL, {**TOLD, "meta": {"patient": 7}}, "patient 7 is no text"),
    (EVAL, {**TOLD, "task": "diagnosis", "meta": {"label": "flu", "aliases": "cold"}}, "aliases .. list"),
    (EVAL, {**EXAM, "meta": None}, "'meta' .. object"),
    (EVAL, {**TOLD, "task": "chemistry"}, "task 'chemistry' .. tasks are dialogue, exam, diagnosis, qa"),
    (EVAL, {**TOLD, "messages": [DOCTOR]}, "'messages' .. data/README.md describes the format")])
def test_records(script, record, says, refused, jsonl):
    path = jsonl(RIGHT[script], record)
    refused(script, "--data", path, says=f"{path}:2: .. {says}")


def test_two_records_of_one_id(refused, jsonl):
    path = jsonl({**TOLD, "id": 7}, {**TOLD, "id": "7"})
    refused(EVAL, "--data", path, says=f"{path}: qa: id '7' is that of two records; give each its own")


def test_questions_whose_options_cannot_be_turned(refused, jsonl):
    asked = {"role": "user", "content": "Which?\nA. gout\nB. influenza"}           # not in meta's order
    path = jsonl({**EXAM, "messages": [asked, DOCTOR]})
    refused(EVAL, "--data", path, "--rotations", says="the options in the question are not those in meta")


def test_files(refused, tmp_path):
    path = tmp_path / "records.jsonl"
    refused(SFT, "--data", path, says=f"{path}: no such file")
    path.write_bytes('{"messages": "发热"}'.encode("gb18030"))
    refused(SFT, "--data", path, says=f"{path}:1: .. UTF-8")


def config(**changes):
    return lambda f: write_json(f / "config.json", read_json(f / "config.json") | changes)


@pytest.mark.parametrize("damage, says", [
    (shutil.rmtree, "broken: no such folder; give a model folder in Hugging Face format"),
    (lambda f: (f / "config.json").unlink(), "broken/config.json: no such file"),
    (config(model_type="mamba"), "config.json: model_type 'mamba' is not supported; this version reads"),
    (config(n_head=3), "broken/config.json: hidden_size 16 is not a multiple of 3 heads"),
    (config(hidden_size=32), "broken/model.safetensors: ..  is ( .. but config.json makes it ("),
    (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
     "broken/model.safetensors: cannot be read ( .. is the download complete?"),
    (lambda f: [path.unlink() for path in f.glob("tokenizer*")], "broken: no tokenizer.json, tokenizer.mo"),
    (lambda f: tiny_model(2, 16, torch.float32, vocabulary=99).save(f),
     "broken: the tokenizer makes ids up to .. the model knows 99")])
def test_model_folders(damage, says, refused, made, tmp_path):
    damage(shutil.copytree(made / "base", tmp_path / "broken"))
    refused(SFT, "--base", tmp_path / "broken", says=says)


@pytest.mark.parametrize("script, flags, says", [
    (SFT, "--learning-rate 1", "--learning-rate"),
    (SFT, "--batch 1", "--batch"),             # abbreviated, it would lose to the tiny base's own default
    (SFT, "--lr fast", "--lr .. 'fast'"),
    (SFT, "--dtype float8", "--dtype float8: choose float32, bfloat16 or auto"),
    (SFT, "--device tpu", "--device tpu: "),
    (SFT, "--steps -1", "--steps -1"),
    (SFT, "--epochs 0", "--epochs 0"),
    (SFT, "--seed -1", "--seed -1: must be at least 0"),
    (SFT, "--lora-rank 4 --lora-targets q_proj", "['q_proj'] name no linear layer .. query_key_value"),
    (REWARD, "--init nowhere", "nowhere/config.json: no such file"),
    (PPO, "--reward nowhere", "nowhere/config.json: no such file; train_reward.py makes a reward run"),
    (REWARD, "--base MADE/base", "/base: this run starts from --init .. leave --base out"),
    (REWARD, "--samples 1", "--samples 1: one score has no deviation"),
    (REWARD, "--max-new-tokens 0", "--max-new-tokens 0: must be at least 1"),
    (REWARD, "--centring -1", "--centring -1.0: must be at least 0"),
    (PPO, "--lora-rank 0", "--lora-rank 0 .. give a rank of 1 or more"),
    (PPO, "--reward MADE/sft", "/sft: a sft run, not a reward model's; train_reward.py writes one"),
    (EVAL, "--models base", "--models base .. models are name=folder"),
    (EVAL, "--tasks qa,chemistry", "--tasks qa,chemistry .. tasks are of dialogue,exam,diagnosis,qa"),
    (EVAL, "--models base=MADE/base ppo=nowhere", "nowhere/config.json: no such file"),   # before any answer
    (EVAL, "--models base=MADE/base far=http://host/v1", "http://host/v1: name the model .. #MODEL"),
    (EVAL, "--models old=nowhere.jsonl#sft", "nowhere.jsonl: no such file"),
    (EVAL, "--shots 2", "--shots and --examples: give both"),
    (EVAL, "--per-minute -1", "--per-minute -1.0: must be at least 0"),
    (EVAL, "--judge taste", "--judge taste: choose facts, all-facts, reference, reward or URL#MODEL"),
    (EVAL, "--out MADE/sft", "/sft: a training run, whose report would be lost; name another folder"),
    (EVAL, "--labels nowhere.jsonl", "nowhere.jsonl: no such file"),
    (EVAL, "--train nowhere.jsonl", "nowhere.jsonl: no such file"),
    (EVAL, "--rubrics nowhere.jsonl", "--rubrics: only a model can grade them .. --judge URL#MODEL"),
    (EVAL, "--rubrics nowhere.jsonl --judge http://host/v1#m", "nowhere.jsonl: no such file"),
    (EVAL, "--reward nowhere", "nowhere/config.json: no such file")])
def test_flags(script, flags, says, refused, made):
    refused(script, *flags.replace("MADE", str(made)).split(), says=says)


def test_the_language_of_the_run_before(tmp_path):
    """Who speaks English is not asked Chinese questions because a flag was forgotten."""
    cfg = PPO.PPOConfig(init=str(tmp_path))
    write_json(tmp_path / "config.json", {"lang": "en", "data": []})
    with pytest.raises(ValueError, match=f"--lang zh: {tmp_path} learned from embedded records in en"):
        SFT.files_of(cfg, "prompts")
    write_json(tmp_path / "config.json", {"lang": "en", "data": ["my.jsonl"]})
    assert SFT.files_of(cfg, "prompts")[0][0].name == "prompts.jsonl"


def test_folders_in_the_way(refused, made, tmp_path):
    run, model = (shutil.copytree(made / name, tmp_path / name) for name in ("sft", "base"))
    (tmp_path / "file").write_text("")
    refused(SFT, "--out", run, says=f"{run}: holds a run already; --resume continues it, --overwrite")
    refused(SFT, "--out", run, "--resume", "--seed", 1, says=f"{run}/config.json: -- .. a continued run")
    refused(SFT, "--out", tmp_path / "file", says=f"{tmp_path}/file: ")
    refused(REWARD, "--out", run, "--init", run, "--overwrite", says=str(run))    # it would delete this
    refused(SFT, "--out", model, "--base", model, "--overwrite", says=str(model))
    refused(SFT, "--out", tmp_path, "--overwrite", says=str(tmp_path))                  # no run
    assert (run / "done.json").is_file() and (model / "model.safetensors").is_file()


def test_a_run_that_has_not_ended(refused, made, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(made / "sft", begun, ignore=shutil.ignore_patterns("model", "done.json"))
    refused(REWARD, "--init", begun, says=f"{begun}: this run has not ended; continue it with --resume")


def test_tensors_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="nowhere/x.safetensors: cannot be written"):
        save_tensors({"x": torch.zeros(2)}, tmp_path / "nowhere" / "x.safetensors")


def test_half_a_surrogate_pair_is_written_and_read_again(tmp_path):
    records = [{"said": "a\ud83d"}, {"said": "\\ud83d"}]
    write_jsonl(tmp_path / "said.jsonl", records)
    assert [record for _, record in read_jsonl(tmp_path / "said.jsonl")] == records
