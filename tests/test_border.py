"""
What users do wrong.  Each mistake ends in exit status 2 and in one line on stderr that says where it is, what was
found and what to do; and the corrected command then runs, without a folder to be cleaned up first.
"""

import json
import shutil
import sys

import pytest
import torch
from reference import tiny_model

import evaluate
import train_ppo
import train_reward
import train_sft
from clinicalgpt.cli import run_main
from clinicalgpt.run import Run
from evaluate import EvalConfig
from train_ppo import PPOConfig
from train_reward import RewardConfig
from train_sft import SFTConfig

CONFIG = {train_sft: SFTConfig, train_reward: RewardConfig, train_ppo: PPOConfig, evaluate: EvalConfig}
USER, DOCTOR = {"role": "user", "content": "my head hurts"}, {"role": "assistant", "content": "it is influenza"}
DIALOGUE, QUESTION = {"messages": [USER, DOCTOR], "task": "qa"}, {"messages": [USER]}
RANKED = {"messages": [USER], "answers": ["rest", "run"]}
EXAM = {"messages": [USER, DOCTOR], "task": "exam", "meta": {"options": {"A": "flu", "B": "gout"}, "answer": "A"}}


@pytest.fixture(scope="session")
def base(tmp_path_factory, tokenizer):
    """A random BLOOM and its tokenizer in a Hugging Face folder."""
    folder = tmp_path_factory.mktemp("model") / "base"
    tiny_model(heads=2, width=16, dtype=torch.float32, vocabulary=tokenizer.vocabulary).save(folder)
    tokenizer.save(folder)
    return folder


@pytest.fixture(scope="session")
def sft(base, tmp_path_factory):
    """A finished SFT run, of one step."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "data.jsonl").write_text(json.dumps(DIALOGUE))
    train_sft.main(SFTConfig(base=str(base), data=(str(folder / "data.jsonl"),), out=str(folder / "sft"), steps=1))
    return folder / "sft"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs a script as from the command line and sees it refuse; the line has to contain each of `says`."""
    def run(script, *flags, says, out=tmp_path / "out"):
        argv = [f"{script.__name__}.py", "--out", str(out), *map(str, flags)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as stop:
            run_main(script.main, CONFIG[script])
        line = capsys.readouterr().err
        assert stop.value.code == 2
        assert line.count("\n") == 1 and line.endswith("\n"), f"not one line: {line}"
        assert line.startswith(f"{argv[0]}: ") and all(words in line for words in says), line
        if out == tmp_path / "out":                        # nothing is left there that blocks the next try
            assert script is not evaluate or not out.exists()
            Run(CONFIG[script](out=str(out)), "next")
    return run


@pytest.mark.parametrize("script, record, finding, remedy", [
    (train_sft, '{"messages": [', "not a JSON line", "one record a line"),
    (train_sft, "[1, 2]", "a list, not a JSON object", "one record a line"),
    (train_sft, {"question": "?"}, "no 'messages' list (found ['question'])", "data/README.md describes the format"),
    (train_sft, {"messages": [{"role": "doctor", "content": "hm"}]}, "unknown role 'doctor'", "roles are system, user"),
    (train_sft, QUESTION, "no assistant message", "add the answer or drop the record"),
    (train_sft, {"messages": [USER, {"role": "assistant", "content": " "}]}, "without text", "or drop the record"),
    (train_reward, QUESTION, "neither 'answers'", "nor 'chosen' and 'rejected'"),
    (train_reward, {**RANKED, "answers": ["rest", "rest"]}, "the same text", "drop one"),
    (train_reward, {**RANKED, "answers": ["rest", " "]}, "without text", "drop"),
    (train_reward, {**RANKED, "meta": {"kinds": ["good"]}}, "kinds", "2"),
    (train_reward, {**RANKED, "meta": None}, "meta", "object"),
    (train_reward, {"messages": [DOCTOR], "answers": ["a", "b"]}, "the last message is the assistant's", "the user's"),
    (train_ppo, {"messages": [DOCTOR]}, "no 'messages'", "describes the format"),
    (evaluate, {**EXAM, "meta": {"answer": "A"}}, "meta has no 'options'", "data/README.md describes the format"),
    (evaluate, {**EXAM, "meta": None}, "meta", "object"),
    (evaluate, {**EXAM, "meta": {"options": [], "answer": "A"}}, "options", "data/README.md"),
    (evaluate, {**EXAM, "meta": {**EXAM["meta"], "answer": "C"}}, "answer 'C'", "A, B"),
    (evaluate, {**DIALOGUE, "task": "chemistry"}, "task 'chemistry'", "tasks are dialogue, exam"),
    (evaluate, {**DIALOGUE, "messages": [DOCTOR]}, "question", "describes the format"),
])
def test_records(script, record, finding, remedy, refused, jsonl, base, sft, tmp_path):
    path = jsonl(EXAM if script is evaluate else RANKED if script is train_reward else DIALOGUE, record)
    reward = tmp_path / "reward"
    if script is train_ppo:
        train_reward.main(RewardConfig(init=str(sft), data=(str(write_ranked(tmp_path)),), out=str(reward), steps=1))
    flags = {train_sft: ["--base", base], train_reward: ["--init", sft], train_ppo: ["--init", sft, "--reward", reward],
             evaluate: ["--models", f"base={base}"]}[script]
    refused(script, *flags, "--data", path, says=(f"{path}:2: ", finding, remedy))


def write_ranked(folder):
    path = folder / "ranked.jsonl"
    path.write_text(json.dumps(RANKED))
    return path


def test_files(refused, base, tmp_path):
    refused(train_sft, "--base", base, "--data", tmp_path / "absent.jsonl", says=["absent.jsonl: no such file"])
    (tmp_path / "gb.jsonl").write_bytes(json.dumps({"messages": [{**USER, "content": "发热"}]}, ensure_ascii=False).encode("gb18030"))
    refused(train_sft, "--base", base, "--data", tmp_path / "gb.jsonl", says=["gb.jsonl:1: ", "UTF-8"])
    (tmp_path / "empty.jsonl").write_text("\n")
    refused(train_sft, "--base", base, "--data", tmp_path / "empty.jsonl", says=["empty.jsonl: no record to learn from"])
    (tmp_path / "file").write_text("")
    refused(train_sft, "--base", base, says=[f"{tmp_path}/file: ", "folder"], out=tmp_path / "file")


def edit(**changes):
    return lambda f: (f / "config.json").write_text(json.dumps({**json.loads((f / "config.json").read_text()), **changes}))


@pytest.mark.parametrize("damage, says", [
    (shutil.rmtree, ["broken: no such folder; give a model folder in Hugging Face format"]),
    (lambda f: (f / "config.json").unlink(), ["broken/config.json: no such file"]),
    (edit(model_type="mamba"), ["config.json: model_type 'mamba' is not supported; this version reads 'bloom'"]),
    (edit(n_head=3), ["config.json: width 16 is not a multiple of 3 heads"]),
    (edit(hidden_size=32), ["model.safetensors: ", " is (", "but config.json makes it ("]),
    (edit(n_layer=3), ["tensors are not in the checkpoint, the first: transformer.h.2."]),
    (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-9]),
     ["broken/model.safetensors: cannot be read (", "is the download complete?"]),
    (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), ["broken/pytorch_model.bin: cannot be read"]),
    (lambda f: (f / "tokenizer.model").write_text("no"), ["broken/tokenizer.model: not a SentencePiece model"]),
    (lambda f: (f / "tokenizer.model").unlink(), ["broken/tokenizer.model: no such file; this version reads SentencePiece"]),
    (lambda f: tiny_model(2, 16, torch.float32, vocabulary=99).save(f), ["tokenizer", "99"]),
])
def test_model_folders(damage, says, refused, jsonl, base, tmp_path):
    folder = shutil.copytree(base, tmp_path / "broken")
    damage(folder)
    refused(train_sft, "--base", folder, "--data", jsonl(DIALOGUE), says=says)


@pytest.mark.parametrize("script, flags, says", [
    (train_sft, ["--learning-rate", "1"], ["--learning-rate"]),
    (train_sft, ["--batch", "1"], ["--batch"]),             # no abbreviations: defaults depend on which flags are given
    (train_sft, ["--lr", "fast"], ["--lr", "'fast'"]),
    (train_sft, ["--dtype", "float8"], ["--dtype float8: choose float32, bfloat16 or auto"]),
    (train_sft, ["--device", "tpu"], ["--device tpu: ", "cpu"]),
    (train_sft, ["--batch-size", "0"], ["--batch-size 0: must be at least 1"]),
    (train_sft, ["--steps", "-1"], ["--steps -1"]),
    (train_sft, ["--epochs", "0"], ["--epochs 0"]),
    (train_sft, ["--lora-rank", "4", "--lora-targets", "q_proj"], ["['q_proj'] name no linear layer", "query_key_value"]),
    (train_reward, ["--init", "nowhere"], ["nowhere/config.json: no such file"]),
    (train_ppo, ["--lora-rank", "0"], ["--lora-rank 0", "give a rank of 1 or more"]),
    (train_ppo, ["--temperature", "0"], ["--temperature 0", "above 0"]),
    (train_ppo, ["--batch-size", "2"], ["--batch-size 2 is less than --minibatches 4"]),
    (evaluate, ["--models", "base"], ["--models base", "models are name=folder"]),
    (evaluate, ["--models", "a=x", "a=y"], ["--models a=x a=y", "each name once"]),
    (evaluate, ["--tasks", "qa,chemistry"], ["--tasks qa,chemistry", "tasks are of dialogue,exam,diagnosis,qa"]),
])
def test_flags(script, flags, says, refused, jsonl, base, sft):
    folders = {train_sft: ["--base", base], evaluate: ["--models", f"base={base}"]}.get(script, ["--init", sft])
    refused(script, *folders, "--data", jsonl(DIALOGUE), *flags, says=says)


def test_ppo_wants_a_reward_run(refused, jsonl, sft):
    refused(train_ppo, "--init", sft, "--reward", sft, "--data", jsonl(QUESTION),
            says=[f"{sft}: a sft run, not a reward model's; train_reward.py writes one"])


def test_folders_in_the_way(refused, jsonl, base, sft, tmp_path):
    flags, untouched = ["--base", base, "--data", jsonl(DIALOGUE)], sorted(sft.rglob("*"))
    refused(train_sft, *flags, out=sft, says=[f"{sft}: holds a run already; --resume continues it, --overwrite deletes it"])
    refused(train_sft, *flags, "--resume", out=sft, says=[f"{sft}/config.json: ", " was ", "a continued run keeps it"])
    refused(train_reward, "--init", sft, "--overwrite", out=sft, says=["--overwrite", str(sft)])
    refused(train_sft, *flags, "--overwrite", out=base, says=["--overwrite", str(base)])
    refused(train_sft, *flags, "--overwrite", out=tmp_path, says=["--overwrite", str(tmp_path)])     # holds the data
    assert sorted(sft.rglob("*")) == untouched and (base / "model.safetensors").is_file()


def test_a_run_that_has_not_ended(refused, sft, jsonl, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(sft / "config.json", begun)
    shutil.copy(sft / "metrics.jsonl", begun)
    refused(train_reward, "--init", begun, "--data", jsonl(RANKED), says=["begun: this run has not ended; continue it with --resume"])
