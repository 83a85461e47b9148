"""
A run as a plain model folder: its adapter, if it has one, merged into the weights below it.

    python -m clinicalgpt.export --init runs/ppo --out my-model           then: vllm serve my-model

Product and sum are made in float32 and rounded once to --dtype.  What the rounding does is said: the largest
change of a logit, and how often the likeliest token stays the same, over random sequences.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from clinicalgpt.cli import arg, run_main
from clinicalgpt.files import read_json
from clinicalgpt.lora import adapter, load_adapter, merge
from clinicalgpt.run import device_of, open_run, save_model, sync
from clinicalgpt.template import Template


@dataclass(frozen=True)
class ExportConfig:
    """Write a finished run as one Hugging Face folder."""
    init: str = arg("runs/ppo", "run folder to export")
    out: str = arg("runs/export", "model folder to write; must not exist")
    dtype: str = arg("float32", "of the weights: float32 or bfloat16")
    device: str = arg("auto", "cpu, cuda or auto")


def main(cfg):
    out, init = Path(cfg.out), Path(cfg.init)
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(cfg.dtype)
    if dtype is None:
        raise ValueError(f"--dtype {cfg.dtype}: choose float32 or bfloat16")
    if out.exists():
        raise ValueError(f"{out}: is there already; --out must name a new folder")
    below = read_json(init / "config.json").get("trunk") if (init / "adapter").is_dir() else init
    model, tokenizer, template = open_run(below, device_of(cfg.device), dtype)
    report = {}
    if (init / "adapter").is_dir():
        load_adapter(model, init / "adapter", "policy")
        template = Template.load(init / "template.json")
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(model.config.vocabulary, (8, 32), generator=generator).tolist()
        with adapter(model, "policy"):
            apart = torch.cat(model.logits(ids))
        merged = torch.cat(merge(model, "policy").logits(ids))
        report = {"largest change of a logit": (merged - apart).abs().max().item(),
                  "likeliest token the same": (merged.argmax(-1) == apart.argmax(-1)).float().mean().item()}
        print("merged: " + ", ".join(f"{name} {value:.4g}" for name, value in report.items()))
    aside = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_model(aside, model, tokenizer, template)
    sync(aside / "model")
    (aside / "model").rename(out)
    shutil.rmtree(aside)
    print(f"{out}: {sum(path.stat().st_size for path in out.iterdir()) / 1e9:.2f} GB")
    return report


if __name__ == "__main__":
    run_main(main, ExportConfig)
