"""
A run as a plain model folder: its adapter, if it has one, merged into the weights below it.

    python -m clinicalgpt.export --init runs/ppo --out my-model           then: vllm serve my-model

The weights below are read as they are stored; product and sum are made in float32 and rounded once, to
--dtype.  What the rounding does is said: the largest change of a logit, and how often the likeliest token
stays the same, over random sequences.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from clinicalgpt.cli import arg, run_main
from clinicalgpt.files import read_json
from clinicalgpt.lora import adapter, load_adapter, merge
from clinicalgpt.run import device_of, dtype_of, open_run, save_run, sync
from clinicalgpt.template import Template


@dataclass(frozen=True)
class ExportConfig:
    """Write a finished run as one Hugging Face folder."""
    init: str = arg("runs/ppo", "run folder to export")
    out: str = arg("runs/export", "model folder to write; must not exist")
    dtype: str = arg("float32", "of the weights: float32 or bfloat16")
    device: str = arg("auto", "cpu, cuda or auto")


def main(cfg):
    out, init, device = Path(cfg.out), Path(cfg.init), device_of(cfg.device)
    dtype, adapted = dtype_of(cfg.dtype, device), (init / "adapter").is_dir()
    if out.exists():
        raise ValueError(f"{out}: is there already; --out must name a new folder")
    run = read_json(init / "config.json")
    if run.get("stage") == "reward":
        raise ValueError(f"{init}: a reward model's head has no place in such a folder; "
                         "export an SFT or PPO run")
    below, stored = (run["trunk"], None) if adapted else (init, dtype)
    model, tokenizer, template = open_run(below, device, stored)
    report = {}
    if adapted:
        if model.embed.weight.dtype == torch.float16:           # in which a CPU hardly computes
            model.float()
        load_adapter(model, init / "adapter", "policy")
        template = Template.load(init / "template.json")
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(model.config.vocabulary, (8, 32), generator=generator).tolist()
        with adapter(model, "policy"):
            apart = torch.cat(model.logits(ids))
        merged = torch.cat(merge(model, "policy", dtype).to(dtype).logits(ids))
        report = {"largest change of a logit": (merged - apart).abs().max().item(),
                  "likeliest token the same": (merged.argmax(-1) == apart.argmax(-1)).float().mean().item()}
        print("merged: " + ", ".join(f"{name} {value:.4g}" for name, value in report.items()))
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        aside.mkdir(parents=True)
        save_run(aside, model, tokenizer, template)
        sync(aside / "model")
        (aside / "model").rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 1e9:.2f} GB")
    return report


if __name__ == "__main__":
    run_main(main, ExportConfig)
