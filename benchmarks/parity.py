"""
Ours against transformers, PEFT, tokenizers, tiktoken and SentencePiece, on the same folders and texts.

    pip install -c constraints.txt -e ".[peers]"
    python benchmarks/parity.py                                         what can be made here
    python benchmarks/parity.py --goldens DIR --tokenizers DIR --texts FILES      and files at hand

Random checkpoints of every family are written by transformers, read by both, and compared: float32 logits of
each sequence alone and among others (within 1e-4), greedy continuations (ours in one batch, with a cache),
gradients of every parameter in float64 (within 1e-9, relative), adapters, what we save, load time (at most
the reference's) and peak memory (1.15 times the weights), chat templates, tokenizers (no difference).  One
table is printed; where a row is beyond its bound, it says so and the exit status is 1.

In float64 the reference still rounds norms and softmaxes to float32.  For gradients it is told not to
(`wide`), since nothing could agree to nine digits otherwise; what is left for BLOOM is its tanh, whose
constants have eight digits.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["HF_HUB_OFFLINE"] = "1"
import peft  # noqa: E402
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from benchmarks.parity_texts import templates, texts  # noqa: E402
from clinicalgpt import generate, load_model  # noqa: E402
from clinicalgpt.lora import adapter, load_adapter, merge, save_adapter  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

BLOOM_SIZE = {"vocab_size": 300, "n_layer": 2}
KIN_SIZE = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 64}
CHECKPOINTS = {                                             # name: (family, what config.json says)
    "BLOOM": ("Bloom", {"hidden_size": 64, "n_head": 4}),
    "BLOOM, 6 heads": ("Bloom", {"hidden_size": 48, "n_head": 6}),
    "BLOOM, 12 heads, untied": ("Bloom", {"hidden_size": 96, "n_head": 12, "tie_word_embeddings": False}),
    "BLOOM, 1 head": ("Bloom", {"hidden_size": 16, "n_head": 1}),
    "BLOOM, heads of 32": ("Bloom", {"hidden_size": 96, "n_head": 3}),
    "BLOOM, residual after norm": ("Bloom", {"hidden_size": 40, "n_head": 5,
                                             "apply_residual_connection_post_layernorm": True}),
    "LLaMA": ("Llama", {"num_key_value_heads": 4}),
    "LLaMA, biases, tied": ("Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    "LLaMA, linear scaling": ("Llama", {"rope_parameters": LINEAR}),
    "LLaMA, llama3 scaling": ("Llama", {"rope_parameters": LLAMA3}),
    "LLaMA, yarn, 1 key head": ("Llama", {"rope_parameters": YARN, "num_key_value_heads": 1}),
    "LLaMA, heads of 20": ("Llama", {"head_dim": 20}),
    "LLaMA, heads of 64": ("Llama", {"head_dim": 64}),
    "Mistral": ("Mistral", {"sliding_window": None}),
    "Mistral, window of 7": ("Mistral", {"sliding_window": 7, "head_dim": 24}),
    "Mistral, window of 5": ("Mistral", {"sliding_window": 5, "head_dim": 32}),
    "Qwen2, tied": ("Qwen2", {"tie_word_embeddings": True}),
    "Qwen2, windows above": ("Qwen2", {"use_sliding_window": True, "sliding_window": 5,
                                       "max_window_layers": 1}),
    "Qwen2, yarn": ("Qwen2", {"rope_parameters": YARN}),
    "Qwen3": ("Qwen3", {"head_dim": 24}),
    "Qwen3, biases, tied": ("Qwen3", {"attention_bias": True, "tie_word_embeddings": True, "head_dim": 32})}


# ---- models ----------------------------------------------------------------------------------------------

def random_checkpoint(folder, family, changes, seed, dtype=torch.float32, **saving):
    torch.manual_seed(seed)
    size = BLOOM_SIZE if family == "Bloom" else KIN_SIZE
    model = AutoModelForCausalLM.from_config(getattr(transformers, f"{family}Config")(**size | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2) if parameter.ndim > 1 else parameter.normal_(0.5, 0.3)
    model.to(dtype).save_pretrained(folder, **saving)
    return model.eval()


def sequences():
    return [torch.randint(0, 300, (length,)).tolist() for length in (1, 2, 3, 19, 64, 40, 200)]


@torch.no_grad()
def logits_gap(theirs, ours, rows):
    """Largest difference of float32 logits, of each sequence alone and of all together."""
    expected = [theirs(torch.tensor([row])).logits[0] for row in rows]
    alone, together = [ours.logits([row])[0] for row in rows], ours.logits(rows)
    return gap(alone + together, expected + expected)


def gap(found, expected, masks=None):
    masks = masks if masks is not None else [torch.ones(len(x)) for x in expected]
    return max((a - b[m == 1]).abs().max().item() for a, b, m in zip(found, expected, masks, strict=True))


def greedy_equal(theirs, ours, rows, count=24):
    options = {"do_sample": False, "max_new_tokens": count, "eos_token_id": None, "pad_token_id": 0}
    expected = [theirs.generate(torch.tensor([row]), attention_mask=torch.ones(1, len(row)), **options)
                for row in rows]
    return sum(row + new == both[0].tolist()
               for row, new, both in zip(rows, generate(ours, rows, count), expected, strict=True))


@contextmanager
def wide():
    """Inside, torch.float32 in the reference's model files is float64, but where ALiBi's slopes are made."""
    class Wide:
        def __getattr__(self, name):
            return torch.float64 if name == "float32" else getattr(torch, name)
    from transformers.models.bloom import modeling_bloom
    slopes, modules = modeling_bloom._get_alibi_slopes, [
        module for name, module in sys.modules.items() if ".modeling_" in name and hasattr(module, "torch")
        and name.startswith("transformers.models.")]

    def narrow_slopes(heads, device):
        modeling_bloom.torch = torch
        try:
            return slopes(heads, device)
        finally:
            modeling_bloom.torch = Wide()
    for module in modules:
        module.torch = Wide()
    modeling_bloom._get_alibi_slopes = narrow_slopes
    try:
        yield
    finally:
        modeling_bloom._get_alibi_slopes = slopes
        for module in modules:
            module.torch = torch


def gradient_gap(folder, row):
    """Worst relative difference of a parameter's gradient of the mean cross-entropy, in float64."""
    ids, targets = torch.tensor(row), torch.tensor(row[1:])
    with wide():
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        F.cross_entropy(theirs(ids[None]).logits[0, :-1], targets).backward()
    ours, expected = load_model(folder, torch.float64), dict(theirs.named_parameters())
    F.cross_entropy((ours(ids, [len(row)]) @ ours.unembed_VD.T)[:-1], targets).backward()
    gaps = []
    for name, parameter in ours.named_parameters():
        wanted = expected[ours.their_name(name)].grad
        gaps.append(((parameter.grad - wanted).norm() / wanted.norm()).item())
    return max(gaps)


def models():
    for seed, (name, (family, changes)) in enumerate(CHECKPOINTS.items()):
        with tempfile.TemporaryDirectory() as folder:
            theirs = random_checkpoint(folder, family, changes, seed)
            ours, rows = load_model(folder), sequences()
            ours.save(f"{folder}/ours", shard_bytes=100_000)
            saved = AutoModelForCausalLM.from_pretrained(f"{folder}/ours")
            same = all(map(torch.equal, theirs.parameters(), saved.parameters()))
            yield name, {"logits": (logits_gap(theirs, ours, rows), 1e-4),
                         "greedy": (greedy_equal(theirs, ours, rows), 7),
                         "gradients": (gradient_gap(folder, rows[4]), 1e-9),
                         "saved by us, bits": (same, True), **adapters(folder, rows[3])}


@torch.no_grad()
def adapters(folder, row):
    """PEFT's adapter in ours, on and merged; ours in PEFT."""
    theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), peft.LoraConfig(
        r=4, lora_alpha=10, target_modules="all-linear", lora_dropout=0.1, task_type="CAUSAL_LM")).eval()
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            parameter.normal_(0, 0.1)
    theirs.save_pretrained(f"{folder}/peft")
    expected, ours = theirs(torch.tensor([row])).logits[0], load_model(folder)
    load_adapter(ours, f"{folder}/peft", "x")
    save_adapter(ours, f"{folder}/ours-peft", "x")
    with adapter(ours, "x"):
        found = ours.logits([row])
    found += merge(ours, "x").logits([row])
    base = AutoModelForCausalLM.from_pretrained(folder)
    again = peft.PeftModel.from_pretrained(base, f"{folder}/ours-peft")
    return {"PEFT's adapter": (gap(found, [expected, expected]), 1e-4),
            "ours in PEFT": (gap([again(torch.tensor([row])).logits[0]], [expected]), 1e-6)}


def formats():
    for name, dtype, saving in (("bfloat16, in shards", torch.bfloat16, {"max_shard_size": "100KB"}),
                                ("float16", torch.float16, {})):
        with tempfile.TemporaryDirectory() as folder:
            random_checkpoint(folder, "Qwen2", {}, 7, dtype, **saving)
            theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            found = logits_gap(theirs, load_model(folder), sequences())
            yield f"Qwen2 in {name}, as float32", {"logits": (found, 1e-4)}


def goldens(folder):
    """Outputs of the reference that were written down earlier; padding is left out."""
    def rows(golden, name):
        pairs = zip(golden[f"{name}ids"], golden[f"{name}mask"], strict=True)
        return [ids[keep == 1].tolist() for ids, keep in pairs]
    for path in sorted(folder.glob("*/golden.safetensors")):
        golden, ours = load_file(path), load_model(path.parent)
        gaps = [gap(ours.logits(golden["ids"].tolist()), golden["logits"])]
        gaps += [gap(ours.logits(rows(golden, side)), golden[f"{side}logits"], golden[f"{side}mask"])
                 for side in ("right_", "left_")]
        one, batch = generate(ours, golden["one_ids"].tolist(), 16), generate(ours, rows(golden, "gen_"), 16)
        equal = one == golden["one_out"][:, -16:].tolist() and batch == golden["gen_out"][:, -16:].tolist()
        yield f"golden {path.parent.name}", {"logits": (max(gaps), 1e-4), "greedy": (equal, True)}
    for path in sorted(folder.glob("lora/*/golden_lora.safetensors")):
        golden, ours = load_file(path), load_model(folder / path.parent.name)
        load_adapter(ours, path.parent, "x")
        gaps, prompts = [], rows(golden, "")
        for kind in ("lora", "disabled", "merged"):
            with adapter(merge(ours, "x") if kind == "merged" else ours, "x" if kind == "lora" else None):
                gaps.append(gap(ours.logits(prompts), golden[f"{kind}_logits"], golden["mask"]))
        equal = generate(ours, prompts, 16) == golden["greedy"][:, -16:].tolist()
        yield f"golden adapter {path.parent.name}", {"on, off, merged": (max(gaps), 1e-4),
                                                     "greedy": (equal, True)}


# ---- load time and memory --------------------------------------------------------------------------------

LOAD = """
import json, sys, time, torch
who, folder, dtype = sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3])
if who == "ours":
    sys.path.insert(0, sys.argv[4])
    from clinicalgpt import load_model as load
else:
    import transformers
    transformers.utils.logging.disable_progress_bar()
    load = lambda folder, dtype: transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
def status(field):
    return next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith(field + ":"))
before, start = status("VmRSS"), time.perf_counter()
model = load(folder, dtype)
seconds = time.perf_counter() - start
for parameter in model.parameters():
    parameter.sum()
weights = sum(parameter.nbytes for parameter in model.parameters())
print(json.dumps({"seconds": seconds, "memory": (status("VmHWM") - before) / weights}))
"""


def loading(runs=5):
    """BLOOM-560m's shape: medians of our and their time in the same run, and of peak memory over the weights
    (every page of them touched)."""
    shape = {"vocab_size": 250880, "hidden_size": 1024, "n_layer": 24, "n_head": 16}
    with tempfile.TemporaryDirectory() as folder:
        model = random_checkpoint(f"{folder}/safetensors", "Bloom", shape, 0, torch.bfloat16)
        model.save_pretrained(f"{folder}/shards", max_shard_size="300MB")
        Path(f"{folder}/bin").mkdir()
        torch.save(model.state_dict(), f"{folder}/bin/pytorch_model.bin")
        Path(f"{folder}/bin/config.json").write_text(Path(f"{folder}/shards/config.json").read_text())
        del model
        for kind, dtype in (("safetensors", "bfloat16"), ("shards", "bfloat16"), ("bin", "bfloat16"),
                            ("safetensors", "float32"), ("bin", "float32")):
            found = {"ours": [], "theirs": []}
            for _ in range(runs):
                for who, results in found.items():
                    command = [sys.executable, "-c", LOAD, who, f"{folder}/{kind}", dtype, str(ROOT)]
                    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                    results.append(json.loads(output.splitlines()[-1]))
            ours, theirs = ({key: statistics.median(run[key] for run in results)
                             for key in ("seconds", "memory")} for results in found.values())
            times = f"time over theirs ({ours['seconds']:.2f} s, {theirs['seconds']:.2f} s)"
            yield f"loading 560m, bfloat16 {kind} as {dtype}", {
                times: (ours["seconds"] / theirs["seconds"], 1.0),
                f"memory over the weights (theirs {theirs['memory']:.2f})": (ours["memory"], 1.15)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--goldens", type=Path, help="folder of reference outputs written down earlier")
    parser.add_argument("--tokenizers", type=Path, help="folder of folders with a tokenizer's files")
    parser.add_argument("--texts", nargs="*", default=[], help="files of real text")
    parser.add_argument("--only", nargs="*", help="of models formats goldens templates texts loading")
    cfg, failed = parser.parse_args(), False
    print("| subject | ours against the reference |\n| --- | --- |")
    for name, rows in {"models": models, "formats": formats, "loading": loading, "templates": templates,
                       "goldens": lambda: goldens(cfg.goldens) if cfg.goldens else (),
                       "texts": lambda: texts(cfg.texts, cfg.tokenizers)}.items():
        for subject, measures in rows() if not cfg.only or name in cfg.only else ():
            shown = []
            for measure, (found, bound) in measures.items():
                good = found <= bound if isinstance(bound, float) else found >= bound[0] if isinstance(
                    bound, range) else found == bound
                failed |= not good
                number = "same" if found is True else f"{found:.2g}" if isinstance(found, float) else found
                shown.append(f"{measure} {number}" + ("" if good else f" **BEYOND {bound}**"))
            print(f"| {subject} | {', '.join(shown)} |", flush=True)
    print("\n" + ", ".join(f"{module.__name__} {module.__version__}" for module in
                           (torch, transformers, peft, tokenizers)))
    sys.exit(failed)


if __name__ == "__main__":
    main()
