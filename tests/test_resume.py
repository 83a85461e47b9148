"""
A run that is killed and continued ends as one that was not: the same weights to the bit, metrics, samples and
learning rates.  Nor do checkpoints and micro-batches change what is computed.
"""
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import train_ppo
import train_reward
import train_sft
from clinicalgpt.dataset import load_dialogues
from clinicalgpt.files import write_jsonl
from clinicalgpt.run import Run
from tests.reference import tiny_model

STEPS, EVERY = 5, 2                                              # checkpoints after 2 and 4
SHARED = {"steps": STEPS, "save_every": EVERY, "eval_every": 2, "warmup_steps": 2, "batch_size": 4, "lr": .01}
ANSWERS = ["influenza .", "an inhaler", "cough and fever , fever and cough", "hello"]
DIES_BEFORE_ITS_SECOND_CHECKPOINT_HAS_A_NAME = """
import json, os, signal, sys, train_ppo
from clinicalgpt import run
sync, folders = run.sync, []
def dies(folder):
    folders.append(folder)
    os.kill(os.getpid(), signal.SIGKILL) if len(folders) == 3 else sync(folder)
run.sync = dies
train_ppo.main(train_ppo.PPOConfig(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def configs(tmp_path_factory, tokenizer):
    """A small run of each stage, with all that has a state: dropout, a value warm-up, a moving beta."""
    made = str(tmp_path_factory.mktemp("made"))
    tiny_model(2, 16, torch.float32, tokenizer.vocabulary).save(f"{made}/base")
    tokenizer.save(f"{made}/base")
    asked = [{"role": "user", "content": f"what is it , {i} ?"} for i in range(7)]
    told = [[ask, {"role": "assistant", "content": ANSWERS[i % 4] * (i + 1)}] for i, ask in enumerate(asked)]
    write_jsonl(f"{made}/told", ({"messages": messages} for messages in told))
    write_jsonl(f"{made}/ranked", ({"messages": [ask], "answers": ANSWERS} for ask in asked))

    def config(Config, data, out, **flags):
        files = {"data": (f"{made}/{data}",), "valid": (f"{made}/{data}",), "out": f"{made}/{out}"}
        return Config(**files, **flags, **SHARED)
    sft, reward, ppo = train_sft.SFTConfig, train_reward.RewardConfig, train_ppo.PPOConfig
    lora = {"init": f"{made}/sft", "lora_rank": 2, "lora_dropout": 0.2}
    few = {"minibatches": 2, "max_new_tokens": 5, "value_warmup": 3, "kl_target": 0.1, "kl_horizon": 50.0,
           "ignore_probes": True, "lora_dropout": 0.0, "pretrain": (f"{made}/told",)}
    return {train_sft: config(sft, "told", "sft", base=f"{made}/base"),
            train_reward: config(reward, "ranked", "reward", **lora),
            train_ppo: config(ppo, "told", "ppo", reward=f"{made}/reward", **(lora | few))}


def result(cfg):
    """What a run leaves: weights as bytes, metrics and samples without what depends on the clock."""
    out = Path(cfg.out)
    lines = [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.open()]
    return ({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.safetensors")},
            [{k: v for k, v in line.items() if k != "time" and "per_second" not in k} for line in lines])


def run(script, cfg, until=None):
    """A run that ends, or is interrupted when it has logged step `until`.  Returns all its learning rates."""
    rates, log, optimizer_step = [], Run.log, script.optimizer_step

    def logs(self, step, **metrics):
        log(self, step, **metrics)
        if step + 1 == until:
            raise KeyboardInterrupt

    def steps(optimizer, *rest):
        norm = optimizer_step(optimizer, *rest)
        rates.append([group["lr"] for group in optimizer.param_groups])
        return norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "log", logs)
        patch.setattr(script, "optimizer_step", steps)
        try:
            script.main(cfg)
        except KeyboardInterrupt:
            assert until
    return rates


@pytest.fixture(scope="module")
def whole(configs):
    """{script: (learning rates, result)} of runs that nothing interrupts and that write no checkpoints."""
    return {script: (run(script, replace(cfg, save_every=0)), result(cfg)) for script, cfg in configs.items()}


@pytest.mark.parametrize("until", [None, *range(1, STEPS + 1)])
@pytest.mark.parametrize("script", [train_sft, train_reward, train_ppo], ids=lambda script: script.__name__)
def test_interrupted_after_any_step(script, until, configs, whole, tmp_path):
    cfg, (rates, expected) = replace(configs[script], out=str(tmp_path)), whole[script]
    before, after = run(script, cfg, until), run(script, replace(cfg, resume=True))
    assert result(cfg) == expected
    a_step, checkpoint = len(rates) // STEPS, ((until or STEPS) - 1) // EVERY * EVERY
    assert before == rates[:(until or STEPS) * a_step]
    assert after == (rates[checkpoint * a_step:] if until else [])


def test_beta_waits_for_the_policy(configs, whole):
    """While the value function learns alone KL is 0, and that is no reason to lower beta."""
    betas = [line["beta"] for line in whole[train_ppo][1][1] if "beta" in line]
    first = configs[train_ppo].value_warmup                     # the first that may move the policy
    assert betas[:first + 1] == [configs[train_ppo].kl] * (first + 1) and betas[first + 1] < betas[0]
    assert len(betas) == STEPS


def test_other_data_are_refused(configs, tmp_path):
    data = tmp_path / "told.jsonl"
    data.write_bytes(Path(configs[train_sft].data[0]).read_bytes())
    cfg = replace(configs[train_sft], data=(str(data),), out=str(tmp_path / "run"))
    run(train_sft, cfg, until=3)
    data.write_text(data.read_text().replace("hello", "hullo"))
    with pytest.raises(ValueError, match=f"{data}: changed since this run began"):
        train_sft.main(replace(cfg, resume=True))


def test_a_run_of_warm_up_alone_says_so(configs, tmp_path, capsys):
    for warmup, says in ((STEPS, False), (STEPS + 1, True)):
        train_sft.main(replace(configs[train_sft], out=str(tmp_path / str(warmup)), warmup_steps=warmup))
        assert ("steps are all warm-up" in capsys.readouterr().err) == says


def test_killed_amid_a_checkpoint(configs, whole, tmp_path):
    cfg = replace(configs[train_ppo], out=str(tmp_path))
    command = [sys.executable, "-c", DIES_BEFORE_ITS_SECOND_CHECKPOINT_HAS_A_NAME, json.dumps(asdict(cfg))]
    assert subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True).returncode == -9
    torn, log = tmp_path / "checkpoint" / ".step-4.tmp" / "state.safetensors", tmp_path / "metrics.jsonl"
    torn.write_bytes(torn.read_bytes()[:99])
    log.write_text(log.read_text() + '{"step": 5, "rew')
    train_ppo.main(replace(cfg, resume=True))
    assert result(cfg) == whole[train_ppo][1]


def test_the_comparison_has_teeth(configs, whole, tmp_path):
    cfg = replace(configs[train_sft], out=str(tmp_path))
    run(train_sft, cfg, until=STEPS)
    state = tmp_path / "checkpoint" / "step-00000004" / "state.safetensors"
    tensors = load_file(state)
    save_file({name: tensor * (not name.endswith("exp_avg")) for name, tensor in tensors.items()}, state)
    train_sft.main(replace(cfg, resume=True))
    assert result(cfg) != whole[train_sft][1], "a continued run may forget its momentum"


def test_micro_batches_do_not_change_the_gradient(configs, tmp_path):
    def gradient(budget, share=7):
        cfg = replace(configs[train_sft], out=str(tmp_path / f"{budget}-{share}"), micro_batch_tokens=budget)
        of = Run(cfg, "sft")
        model, tokenizer, template, trained, _ = train_sft.build(cfg, cfg.base, of)
        examples = list(load_dialogues(cfg.data, tokenizer, template, cfg.max_len)[0])
        for start in range(0, 7, share):
            train_sft.nll_backward(model, examples[start:start + share], of)
        return torch.cat([parameter.grad.flatten() for parameter in trained.values()]) * share / 7
    expected = gradient(10**6)
    assert all((gradient(budget) - expected).norm() < 1e-6 * expected.norm() for budget in (1, 60))
    assert (gradient(60, share=1) - expected).norm() > 1e-2 * expected.norm(), "a mean of means would pass"
