"""
Sampling from a model: ours against transformers' generate, with its default and its static cache, same run.

    pip install -c constraints.txt -e ".[peers]"
    python benchmarks/generation.py [--bfloat16]      about 15 minutes on two cores

BLOOM-560m's shape with 4 of its 24 layers and all of its 250,880 tokens; 16 prompts of 16 to 256 tokens, 128
new tokens each, temperature 0.7 and top_p 0.9.  The weights are random, with the final norm's so large that
the next token is as sure as a trained model's; they end no answer, so every way makes 2,048 tokens.  The last
row is the time of the unembedding's products alone: every token needs one.
"""

import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.measure import medians, table, times_faster  # noqa: E402
from clinicalgpt import generate, load_model  # noqa: E402
from clinicalgpt.config import ModelConfig  # noqa: E402
from clinicalgpt.model import Transformer  # noqa: E402
from kernels.head import logits  # noqa: E402

B, NEW = 16, 128


def main(dtype):
    from transformers import AutoModelForCausalLM
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(16, 256, B).long().tolist()
    prompts = [torch.randint(4, 250000, (n,), generator=generator).tolist() for n in lengths]
    with tempfile.TemporaryDirectory() as folder:
        config = ModelConfig.bloom(250880, 1024, 4, 16)
        random = Transformer(config).initialise(torch.Generator().manual_seed(0))
        random.final_norm.weight.fill_(8.0)
        random.save(folder)
        model = load_model(folder, dtype)
        peer = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)

    ids, mask = torch.full((B, max(lengths)), 3), torch.zeros(B, max(lengths), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, -len(prompt):], mask[row, -len(prompt):] = torch.tensor(prompt), 1

    def theirs(**cache):
        peer.generation_config.eos_token_id = None
        said = peer.generate(input_ids=ids, attention_mask=mask, do_sample=True, temperature=0.7, top_p=0.9,
                             top_k=0, max_new_tokens=NEW, pad_token_id=3, **cache)
        assert said.shape[1] == max(lengths) + NEW

    def ours():
        said = generate(model, prompts, NEW, temperature=0.7, top_p=0.9)
        assert all(len(answer) == NEW for answer in said)

    hidden_BD = torch.randn(B, 1024)
    ways = {"transformers, default cache": theirs, "ours": ours,
            "transformers, static cache": lambda: theirs(cache_implementation="static")}
    seconds = medians(ways)
    limit = NEW * medians({"head": lambda: logits(hidden_BD, model.unembed_VD)}, 15)["head"]
    rows = [[name, f"{seconds[name]:.1f}", f"{B * NEW / seconds[name]:.0f}",
             times_faster(seconds[name], seconds["ours"]) if name != "ours" else ""] for name in ways]
    table([str(dtype).removeprefix("torch."), "s", "tokens / s", "ours is"],
          [*rows, ["limit", f"{limit:.1f}", f"{B * NEW / limit:.0f}", ""]])


if __name__ == "__main__":
    with torch.no_grad():
        main(torch.bfloat16 if "--bfloat16" in sys.argv[1:] else torch.float32)
