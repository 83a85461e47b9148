"""
A step of LoRA fine-tuning: ours against transformers with PEFT, from the same weights, in the same run.

    pip install -c constraints.txt -e ".[peers]"
    python benchmarks/training.py [--bfloat16]      about 5 minutes on two cores and 12 GB

BLOOM-560m's shape with 4 of its 24 layers and all of its 250,880 tokens, LoRA of rank 8 on query_key_value;
two sequences of 1,024 and 512 tokens of which the last 40 % are scored; forward, backward, AdamW.  The peer
pads, and makes the logits of every token.  bfloat16 only if asked for: on a CPU without avx512_bf16 the
peer's products take minutes each.
"""

import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import medians, peak, table, times_faster  # noqa: E402
from clinicalgpt import load_model  # noqa: E402
from clinicalgpt.config import ModelConfig  # noqa: E402
from clinicalgpt.dataset import Example, pack  # noqa: E402
from clinicalgpt.lora import adapter, add_lora, load_adapter, save_adapter  # noqa: E402
from clinicalgpt.model import Transformer  # noqa: E402
from clinicalgpt.run import make_optimizer  # noqa: E402

LENGTHS, SCORED = (1024, 512), 0.4


def examples():
    generator = torch.Generator().manual_seed(1)
    return [Example(torch.randint(4, 250000, (n,), generator=generator).tolist(),
                    [i >= n * (1 - SCORED) for i in range(n)], {}) for n in LENGTHS]


def ours(folder, dtype):
    model = load_model(folder / "base", dtype)
    optimizer = make_optimizer([(load_adapter(model, folder / "lora", "policy"), 1e-4)], 0.0)
    batch = pack(examples())

    def step():
        optimizer.zero_grad()
        with adapter(model, "policy"):
            loss = model.loss(batch, len(batch.scored_M))
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def theirs(folder, dtype):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=dtype)
    model = PeftModel.from_pretrained(base, str(folder / "lora"), is_trainable=True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4, weight_decay=0.0,
                                  betas=(0.9, 0.99))
    width = max(LENGTHS)
    ids, mask, labels = (torch.full((len(LENGTHS), width), fill) for fill in (3, 0, -100))
    for row, example in enumerate(examples()):
        n = len(example.ids)
        ids[row, :n], mask[row, :n] = torch.tensor(example.ids), 1
        labels[row, :n] = torch.where(torch.tensor(example.answer), ids[row, :n], -100)

    def step():
        optimizer.zero_grad()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        return loss.item()
    return step


def write(folder):
    model = Transformer(ModelConfig.bloom(250880, 1024, 4, 16)).initialise(torch.Generator().manual_seed(0))
    model.save(folder / "base")
    factors = add_lora(model, "policy", 8, 16.0, 0.0, ("query_key_value",))
    with torch.no_grad():
        for B in factors[1::2]:
            B.normal_(0, 0.02, generator=torch.Generator().manual_seed(2))
    save_adapter(model, folder / "lora", "policy")


def main(dtype):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        steps = {"transformers + PEFT": theirs(Path(folder), dtype), "ours": ours(Path(folder), dtype)}
        losses = {name: [step() for _ in range(2)] for name, step in steps.items()}
        seconds, memory = medians(steps), {name: peak(step) for name, step in steps.items()}
    scored = sum(sum(example.answer) for example in examples())
    rows = [[name, f"{seconds[name]:.2f}", f"{scored / seconds[name]:.0f}", f"{memory[name] / 2**20:.0f}",
             *(f"{loss:.5f}" for loss in losses[name])] for name in steps]
    a, b = steps
    share = f"{memory[b] / memory[a]:.2f} of it"
    rows.append(["ours is", times_faster(seconds[a], seconds[b]), "", share, "", ""])
    table([str(dtype).removeprefix("torch."), "s a step", "scored tokens / s", "MiB beyond the weights",
           "first loss", "second"], rows)


if __name__ == "__main__":
    main(torch.bfloat16 if "--bfloat16" in sys.argv[1:] else torch.float32)
