"""
What users of PPO bring along: flags that do not go together, damaged reward runs, prompts and batches of odd
sizes.  Each ends in one line that names it, or in a right run; and groups that share their prompts learn what
they would learn one by one.
"""
import json
import math
import sys
from dataclasses import replace
from shutil import copytree, rmtree

import pytest
import torch
from safetensors.torch import load_file, save_file

import train_ppo
import train_reward
import train_sft
from clinicalgpt.cli import run_main
from clinicalgpt.dataset import Example, micro_batches
from clinicalgpt.files import read_json, write_jsonl
from clinicalgpt.tokenizer import load_tokenizer, train_sentencepiece
from tests.conftest import TEXT
from tests.reference import close, tiny_model
from tests.test_ppo_roles import CONFIG, PROMPTS, RUN, gradients, make_roles, rollouts_of

ASKED = [{"role": "user", "content": f"what is it , {i} ?"} for i in range(3)]
FLAGS = ("--init MADE/sft --reward MADE/reward --data MADE/told --batch-size 2 --minibatches 1 "
         "--max-new-tokens 4 --max-len 64 --lora-rank 2 --lr 0.01 --steps 2 --value-warmup 1 "
         "--warmup-steps 0 --ignore-probes")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tokenizer):
    """Runs `sft`, `reward` (an adapter) and `whole` (a reward model with weights of its own), and files."""
    made = tmp_path_factory.mktemp("made")
    tiny_model(2, 16, torch.float32, tokenizer.vocabulary).save(made / "base")
    tokenizer.save(made / "base")
    write_jsonl(made / "told", [{"messages": [ask, {"role": "assistant", "content": "an inhaler"}]}
                                for ask in ASKED])
    write_jsonl(made / "ranked", [{"messages": [ask], "answers": ["hello", "influenza"]} for ask in ASKED])
    write_jsonl(made / "long", [{"messages": [{"role": "user", "content": "fever , " * 99}]}] * 2)
    (made / "empty").write_text("\n")
    (made / "two.tsv").write_text("fever\tsymptom\n")
    train_sft.main(train_sft.SFTConfig(base=f"{made}/base", data=(f"{made}/told",), out=f"{made}/sft",
                                       steps=1, token_cache=""))
    for out, rank in (("reward", 2), ("whole", 0)):
        train_reward.main(train_reward.RewardConfig(init=f"{made}/sft", data=(f"{made}/ranked",), steps=1,
                                                    out=f"{made}/{out}", lora_rank=rank, samples=2))
    copytree(made / "whole", made / "far")                                     # which reads other tokens
    train_sentencepiece([text[::-1] for text in TEXT] * 4, made, 400, ["User:", "Assistant:"])
    load_tokenizer(made).save(made / "far" / "model")
    return made


@pytest.fixture
def start(made, tmp_path, monkeypatch):
    """Runs PPO with flags that are right, and then those given; MADE stands for the folder of runs."""
    def run(flags):
        flags = f"{FLAGS} {flags}".replace("MADE", str(made)).split()
        monkeypatch.setattr(sys, "argv", ["train_ppo.py", "--out", f"{tmp_path}/out", *flags])
        return run_main(train_ppo.main, train_ppo.PPOConfig)
    return run


def check_refused(start, capsys, flags, says):
    with pytest.raises(SystemExit) as stop:
        start(flags)
    line = capsys.readouterr().err
    assert stop.value.code == 2 and line.count("\n") == 1, line
    assert line.startswith("train_ppo.py: ") and all(part in line for part in says.split(" .. ")), line


@pytest.mark.parametrize("flags, says", [
    ("--reward none", "--reward none: there is no model .. --rewards must name rules"),
    ("--reward MADE/nowhere", "nowhere/config.json: no such file"),
    ("--rewards model", "--rewards model: write part=weight"),
    ("--rewards taste=1", "--rewards taste=1: parts are model, facts"),
    ("--rewards facts=1", "--rewards facts: needs a knowledge graph; --graph FILE names one"),
    ("--rewards model=1 exam=1", "--rewards exam: says nothing of any of the 3 prompts"),
    ("--graph MADE/two.tsv", "two.tsv:1: 2 columns, not 5"),
    ("--pretrain MADE/ranked", "ranked:1: no assistant message"),
    ("--valid MADE/empty", "empty: no prompts"),
    ("--batch-size 4", "3 prompts are fewer than --batch-size 4"),
    ("--batch-size 3 --group 2", "--batch-size 3 is no multiple of --group 2"),
    ("--minibatches 3", "less than --minibatches 3 groups"),
    ("--algorithm grpo", "--algorithm grpo compares answers to one prompt: --group 2 or more"),
    ("--algorithm sarsa", "--algorithm sarsa: choose ppo, rloo, grpo, reinforce++"),
    ("--unfinished drop --group 2", "--unfinished drop would tear --group 2 apart"),
    ("--unfinished bootstrap --algorithm reinforce++", "reinforce++ has no value function"),
    ("--dual-clip 0.5", "--dual-clip 0.5: bounds the loss from above 1 on"),
    ("--score-clip -1", "--score-clip -1.0: must be from 0 to 1e+06"),
    ("--kl nan", "argument --kl: invalid number value: 'nan'"), ("--lr inf", "argument --lr: invalid number"),
    ("--lora-alpha nan", "--lora-alpha: invalid number"), ("--kl -1", "--kl -1.0: must be from 0"),
    ("--epochs 1", "--epochs 1.0: PPO counts --steps"), ("--lora-dropout 0.1", "--lora-dropout 0.1: PPO has"),
    ("--value-warmup 2", "--value-warmup 2: the policy would learn in none of --steps 2"),
    ("--kl-horizon 1", "--kl-horizon 1: counts rollouts, so at least --batch-size 2"),
    ("--algorithm grpo --group 4 --kl-estimator k2", "--kl-estimator k2: grpo's KL is a loss, by k3"),
    ("--reward MADE/far", "far: another template or other tokens than"),
    ("--lora-targets q_proj", "['q_proj'] name no linear layer")])
def test_flags(flags, says, start, capsys):
    check_refused(start, capsys, flags, says)


def one_tensor_less(folder):
    path = folder / "adapter" / "adapter_model.safetensors"
    save_file(dict(list(load_file(path).items())[1:]), path)


@pytest.mark.parametrize("damage, says", [
    (lambda f: (f / "head.safetensors").unlink(), "head.safetensors: no such file"),
    (lambda f: save_file({"linear.weight": torch.zeros(1, 9)}, f / "head.safetensors"), "not the head"),
    (lambda f: save_file({k: v * math.nan for k, v in load_file(f / "head.safetensors").items()},
                         f / "head.safetensors"), "a score is nan; its weights are damaged"),
    (lambda f: (f / "probes.jsonl").write_text('{"probe": "empty"}'), "probes.jsonl:1: no 'messages' list"),
    (one_tensor_less, "adapter_model.safetensors: no tensor h."),
    (lambda f: rmtree(f / "adapter"), "this run has not ended"),
    (lambda f: (f / "template.json").unlink(), "template.json: no such file"),
    (lambda f: (f / "probes.jsonl").write_text('{"probe": "em'), "probes.jsonl:1: not a JSON line")])
def test_damaged_reward_runs(damage, says, made, start, capsys, tmp_path):
    damage(copytree(made / "reward", tmp_path / "broken"))
    (tmp_path / "broken" / "metrics.jsonl").touch()
    check_refused(start, capsys, f"--reward {tmp_path}/broken", says)


@pytest.mark.parametrize("flags", [
    "--data MADE/long --valid MADE/long", "--max-len 2", "--batch-size 3 --minibatches 2",
    "--micro-batch-tokens 1 --group 2 --algorithm rloo", "--reward none --rewards length=-1",
    "--reward MADE/whole --gradient-checkpointing --group 2 --algorithm grpo", "--pretrain MADE/told",
    "--reward MADE/whole --unfinished bootstrap --kl-estimator exact", "--dtype bfloat16 --group 2"])
def test_right_runs(flags, start, tmp_path):
    start(flags)
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").open()]
    assert rows[0]["kl"] == 0 and len(rows) == 2
    assert all(row["first_ratio_gap"] < 1e-3 and math.isfinite(row["reward"]) for row in rows)


def test_adapters_over_adapters(made, tmp_path):
    """PEFT stacks none: the folder names the run beneath, which PEFT refuses, not the base without its
    adapter."""
    for out, start in (("one", {"base": f"{made}/base"}), ("two", {"init": f"{tmp_path}/one"})):
        train_sft.main(train_sft.SFTConfig(data=(f"{made}/told",), out=f"{tmp_path}/{out}", steps=1,
                                           token_cache="", lora_rank=2, **start))
    bases = [read_json(tmp_path / out / "adapter" / "adapter_config.json")["base_model_name_or_path"]
             for out in ("one", "two")]
    assert bases == [f"{made}/base", f"{tmp_path}/one"]


def test_a_reward_without_probes(made, start, tmp_path, capsys):
    copytree(made / "reward", tmp_path / "old")
    (tmp_path / "old" / "probes.jsonl").unlink()
    check_refused(start, capsys, f"--reward {tmp_path}/old --no-ignore-probes", "probes.jsonl: no such file")
    start(f"--reward {tmp_path}/old --overwrite")
    assert "probes.jsonl: no such file; the reward was not probed" in capsys.readouterr().out


def test_nothing_ends(start, tmp_path):
    """Not one answer of one token has an end: nothing is learned, and the run says so and goes on."""
    start("--unfinished drop --max-new-tokens 1 --seed 1")
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").open()]
    assert [row["ended"] for row in rows] == [0, 0] and "policy_loss" not in rows[1]


def check_shared_prompts(apart):
    """Answers to one prompt that are read together, under any budget, with activations kept or made again:
    the gradient of answers that are read one by one."""
    results, cfg = [], replace(CONFIG, group=4, batch_size=8, algorithm="grpo", entropy_coefficient=0.1)
    for budget, checkpointing in ((1, False), (10_000, False), (10_000, True), (30, True)):
        roles = make_roles(trained=True, dtype=torch.float64)
        rollouts, _ = rollouts_of(roles, cfg, prompts=[p for p in PROMPTS[2:4] for _ in range(4)])
        roles.trunk.gradient_checkpointing = checkpointing
        if apart and budget > 1:
            rollouts.examples[:] = [Example(e.ids[-1:] + e.ids[1:], e.answer, e.record)
                                    for e in rollouts.examples]
        for part in micro_batches(range(8), budget, lambda i, rows=rollouts.examples: len(rows[i])):
            train_ppo.backward(roles, rollouts, part, rollouts.mask_BT.sum(), True, cfg, RUN, 0.5)
        results.append({name: grad for name, grad in gradients(roles).items() if grad is not None})
    for other in results[1:]:
        assert other.keys() == results[0].keys() and all(name.endswith(".policy") for name in other)
        for name, gradient in results[0].items():
            close(other[name], gradient)


def test_shared_prompts():
    check_shared_prompts(apart=False)
    with pytest.raises(AssertionError):
        check_shared_prompts(apart=True)                       # other first tokens: no prompt in common
