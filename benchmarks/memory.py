"""
What clinicalgpt/memory.py predicts beside what runs take: each stage's own script over random weights, in a
process of its own, whose peak is its largest resident memory beyond what it held with PyTorch imported.

    python benchmarks/memory.py [WORDS]                  Linux; 2 GB of disk; needs no peer; rows with WORDS
    python benchmarks/memory.py --heap [WORDS]           with glibc's heap as it is

Records are as long as --max-len allows, so that lengths are those that the plan counts with.  glibc keeps
freed tensors of up to 32 MiB in a heap full of holes; that is no part of the plan, so unless asked for it
is left out: MALLOC_MMAP_THRESHOLD_ gives each tensor beyond 128 KiB pages of its own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.measure import table  # noqa: E402
from clinicalgpt.cli import parse  # noqa: E402
from clinicalgpt.config import ModelConfig, read_config  # noqa: E402
from clinicalgpt.files import write_json, write_jsonl  # noqa: E402
from clinicalgpt.memory import peak, plan  # noqa: E402
from clinicalgpt.model import Transformer  # noqa: E402
from clinicalgpt.template import encode_dialogue, open_words  # noqa: E402
from clinicalgpt.tokenizer import train_sentencepiece  # noqa: E402
from train_ppo import PPOConfig  # noqa: E402
from train_reward import RewardConfig  # noqa: E402
from train_sft import SFTConfig  # noqa: E402

CONFIGS = {"sft": SFTConfig, "reward": RewardConfig, "ppo": PPOConfig}
LLAMA = {"model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 16,
         "num_key_value_heads": 4, "intermediate_size": 2816, "vocab_size": 32000, "rms_norm_eps": 1e-6}
BASES = {"BLOOM, 100M": ModelConfig.bloom(49152, 768, 9, 12).to_json(),
         "BLOOM, large vocabulary": ModelConfig.bloom(250880, 512, 6, 8).to_json(),
         "Llama, 160M": LLAMA}
LONG, SHORT = (f"--max-len {n // 4} --batch-size 4 --micro-batch-tokens {n}" for n in (1024, 512))
PAIRS = "--max-len 128 --batch-size 2 --samples 8 --max-new-tokens 8"
RUNS = [("sft", "BLOOM, 100M", f"{LONG} --lora-rank 8"),
        ("sft", "BLOOM, 100M", f"{LONG} --lora-rank 8 --micro-batch-tokens 256"),
        ("sft", "BLOOM, 100M", f"{LONG} --lora-rank 8 --gradient-checkpointing"),
        ("sft", "BLOOM, 100M", LONG),
        ("sft", "BLOOM, 100M", f"{SHORT} --gradient-checkpointing"),
        ("sft", "BLOOM, large vocabulary", SHORT),
        ("sft", "BLOOM, large vocabulary", f"{SHORT} --lora-rank 8"),
        ("sft", "Llama, 160M", f"{SHORT} --lora-rank 8"),
        ("sft", "Llama, 160M", SHORT),
        ("sft", "Llama, 160M", "--max-len 64 --batch-size 1 --lora-rank 8 --dtype bfloat16"),
        ("reward", "BLOOM, 100M", f"{PAIRS} --lora-rank 8"),
        ("reward", "Llama, 160M", PAIRS),
        ("ppo", "BLOOM, 100M", "--max-len 128 --max-new-tokens 32 --batch-size 8 --minibatches 2 "
                               "--ppo-epochs 1"),
        ("ppo", "Llama, 160M", "--max-len 128 --max-new-tokens 32 --batch-size 16 --minibatches 2 "
                               "--ppo-epochs 1 --gradient-checkpointing")]
APART = {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
CHILD = """
import importlib, os, sys, torch
from clinicalgpt import memory
def kibibytes(field):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(field)))
held = kibibytes("VmRSS")
from clinicalgpt.cli import run_main
if "MALLOC_MMAP_THRESHOLD_" in os.environ:
    memory.HOLES = float("inf")                                 # check_memory, too, leaves the heap out
script = importlib.import_module("train_" + sys.argv.pop(1))
run_main(script.main, next(v for k, v in vars(script).items() if k.lower() == script.__name__[6:] + "config"))
print("KIB", kibibytes("VmHWM") - held)
"""


def write_base(folder, raw):
    """A base with random weights, and a tokenizer that has few words."""
    folder.mkdir()
    write_json(folder / "config.json", raw)
    model = Transformer(read_config(folder)[0]).initialise(torch.Generator().manual_seed(0))
    model.raw_config = raw
    model.save(folder)
    train_sentencepiece(["fever and cough for three days"] * 4, folder, 400, ["User:", "Assistant:"])


def write_records(path, stage, base, max_len):
    """16 records of max_len tokens: a short question and a long answer, or a prompt and four answers of half
    that, or prompts alone."""
    words, room = open_words(base), {"sft": max_len, "reward": max_len // 2, "ppo": 4 * max_len}[stage]

    def text(i, tokens):
        said = ["fever", "cough", "three", "days"]
        line = [said[i // 4**k % 4] for k in range(4)]
        while True:
            longer = [*line, said[len(line) % 4]]
            asked = [{"role": "user", "content": "cough"}, {"role": "assistant", "content": " ".join(longer)}]
            if len(encode_dialogue(*words, asked)[0]) > tokens:
                return " ".join(line)
            line = longer
    records = []
    for i in range(16):
        record = {"messages": [{"role": "user", "content": "cough" if stage == "sft" else text(i, room)}]}
        if stage == "sft":
            record["messages"].append({"role": "assistant", "content": text(i, room)})
        if stage == "reward":
            record["answers"] = [text(i + k, room) for k in range(1, 5)]
        records.append(record)
    write_jsonl(path, records)


def measured(stage, flags, environment):
    """Bytes at the peak of a run in a process of its own, beyond those with PyTorch imported."""
    child = subprocess.run([sys.executable, "-c", CHILD, stage, *flags], cwd=ROOT, capture_output=True,
                           text=True, env={**os.environ, **environment})
    if "KIB" not in child.stdout:
        sys.exit(f"{stage} {' '.join(flags)}: {child.stderr[-2000:]}")
    return int(child.stdout.rpartition("KIB")[2]) * 1024


def row(folder, stage, name, given, environment):
    base, run = folder / name, folder / "run"
    flags = [*given.split(), "--base" if stage == "sft" else "--init", str(base), "--out", str(run),
             "--overwrite", "--steps", "2", "--save-every", "0", "--device", "cpu",
             "--data", str(folder / f"{stage}.jsonl")]
    if stage == "sft":
        flags += ["--token-cache", ""]
    max_len = int(given.partition("--max-len ")[2].split()[0])
    if stage == "ppo":
        write_records(folder / "reward.jsonl", "reward", base, 32)
        small = "--steps 1 --batch-size 1 --lora-rank 8 --samples 4 --max-new-tokens 4 --max-len 32"
        measured("reward", ["--init", str(base), "--out", str(folder / "judge"), "--overwrite",
                            "--data", str(folder / "reward.jsonl"), *small.split()], environment)
        flags += ["--reward", str(folder / "judge"), "--ignore-probes", "--value-warmup", "0"]
    write_records(folder / f"{stage}.jsonl", stage, base, max_len)
    phase, predicted = peak(plan(stage, read_config(base)[0], parse(CONFIGS[stage], flags), "cpu"))
    took = measured(stage, flags, environment)
    return [stage, name, given, phase, f"{predicted / 2**20:.0f}", f"{took / 2**20:.0f}",
            f"{predicted / took:.2f}"]


def main(words, environment):
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in BASES.items():
            write_base(Path(folder) / name, raw)
        for run in RUNS:
            if words in " ".join(run):
                rows.append(row(Path(folder), *run, environment))
    table(["stage", "base", "flags", "peak in", "predicted, MiB", "measured, MiB", "ratio"], rows)


if __name__ == "__main__":
    main(" ".join(word for word in sys.argv[1:] if word != "--heap"), {} if "--heap" in sys.argv else APART)
