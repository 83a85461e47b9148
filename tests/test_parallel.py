"""
Runs of several processes against runs of one: the same numbers but for rounding, one log, and bugs that are
found.
"""
import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import train_ppo
import train_reward
import train_sft
from clinicalgpt import parallel
from tests.test_resume import STEPS, configs, run  # noqa: F401  (a fixture)

ROOT = Path(__file__).parents[1]
WORKER = """
import importlib, json, sys
from clinicalgpt import parallel
name, Config, fields = sys.argv[1:]
script, fields = importlib.import_module(name), json.loads(fields)
fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
%s
with parallel.processes(True):
    script.main(getattr(script, Config)(**fields))
"""


def torchrun(count, *command):
    """By the loopback alone: a machine's own name need not lead anywhere."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
              "--nproc-per-node", str(count)]
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if "lo" in dict(socket.if_nameindex()).values() else {}
    return subprocess.run([*launch, *command], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env=os.environ | loopback | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})


def in_processes(count, script, cfg, folder, bug=""):
    (folder / "worker.py").write_text(WORKER % bug)
    done = torchrun(count, folder / "worker.py", script.__name__, type(cfg).__name__, json.dumps(asdict(cfg)))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def lines(cfg, name):
    path = Path(cfg.out) / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def check_alike(cfg, other):
    """Log, samples and weights of two runs."""
    ours, theirs = lines(cfg, "metrics.jsonl"), lines(other, "metrics.jsonl")
    assert [row["step"] for row in theirs] == list(range(1, STEPS + 1))
    for row, expected in zip(theirs, ours, strict=True):
        assert row.keys() == expected.keys()
        for name in row.keys() - {"time", "first_ratio_gap"}:
            assert row[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-4), (row["step"], name)
    assert lines(cfg, "samples.jsonl") == lines(other, "samples.jsonl")
    files = sorted(Path(cfg.out).rglob("*.safetensors"))
    assert files
    for file in files:
        one, two = load_file(file), load_file(Path(other.out) / file.relative_to(cfg.out))
        assert all((two[name] - one[name]).norm() <= 1e-2 * one[name].norm() + 1e-5 for name in one), file


@pytest.fixture(scope="module")
def alone(configs):  # noqa: F811
    """{script: the configuration of a run of one process}, without dropout: each process draws its own."""
    cfgs = {script: replace(cfg, lora_dropout=0.0) for script, cfg in configs.items()}
    for script, cfg in cfgs.items():
        run(script, cfg)
    return cfgs


@pytest.mark.parametrize("script, count", [(train_sft, 2), (train_reward, 2), (train_ppo, 2), (train_ppo, 3)],
                         ids=["sft", "reward", "ppo", "ppo, of three"])
def test_as_one_process(script, count, alone, tmp_path):
    """Three share a batch of four unevenly, and mini-batches of two leave one of them nothing to do."""
    cfg = replace(alone[script], out=str(tmp_path / "run"))
    said = in_processes(count, script, cfg, tmp_path)
    check_alike(alone[script], cfg)
    assert said.count("predicted, most in") == 1                # the others are silent


def test_two_go_on_with_what_one_began(alone, tmp_path):
    cfg = replace(alone[train_ppo], out=str(tmp_path / "run"))
    run(train_ppo, cfg, until=3)
    in_processes(2, train_ppo, replace(cfg, resume=True), tmp_path)
    check_alike(alone[train_ppo], cfg)


@pytest.mark.parametrize("script, bug", [
    (train_sft, "import clinicalgpt.run; clinicalgpt.run.add_up_gradients = lambda parameters: None"),
    (train_sft, """
import clinicalgpt.run
def mean(parameters, add=parallel.add_up_gradients):        # of processes' means
    add(parameters)
    for parameter in parameters:
        parameter.grad /= parallel.size()
clinicalgpt.run.add_up_gradients = mean"""),
    (train_ppo, """
import clinicalgpt.roles as roles
roles.generate = lambda *args, first, generate=roles.generate, **named: generate(*args, **named)"""),
    (train_ppo, "parallel.share = list"),
], ids=["gradients apart", "mean of means", "the same random numbers", "each learns from all"])
def test_bugs_are_found(script, bug, alone, tmp_path):
    cfg = replace(alone[script], out=str(tmp_path / "run"))
    in_processes(2, script, cfg, tmp_path, bug)
    with pytest.raises(AssertionError):
        check_alike(alone[script], cfg)


def test_shares(monkeypatch):
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(parallel, "size", lambda size=size: size)
        for count in (0, 1, 5, 12):
            shares = []
            for rank in range(size):
                monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
                shares.append(parallel.share(list(range(count))))
            assert sum(shares, []) == list(range(count))        # each once, in order
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_needs_nothing():
    weight = torch.nn.Parameter(torch.ones(2))
    parallel.add_up_gradients([weight])
    assert weight.grad is None
    assert parallel.gathered([weight]) == [weight] and parallel.added({"a": 1.0}) == {"a": 1.0}
    assert parallel.from_first(lambda: 3) == 3


@pytest.mark.parametrize("script, count, what", [
    ("evaluate.py", "2", "one process"), ("train_sft.py", "2", "without LOCAL_RANK"),
    ("train_sft.py", "two", "or unset WORLD_SIZE")])
def test_environments_that_torchrun_did_not_make(script, count, what):
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"WORLD_SIZE": count})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and what in done.stderr


def test_a_refusal_is_said_once():
    done = torchrun(2, "train_sft.py", "--out", "README.md")
    assert done.returncode and done.stderr.count("README.md: a file") == 1 and "peer" not in done.stderr
