"""
BLOOM-7B1's shape on this machine: written in shards, loaded, run forward, cached and continued.

    python benchmarks/seven_billion.py [FOLDER]       15 GB of disk; random bfloat16 weights; needs no peer

FOLDER (runs/seven-billion) is written once and used again; delete it afterwards.  Peaks are of the whole
process (VmHWM), the file's pages that were touched included.
"""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from clinicalgpt import generate, load_model  # noqa: E402
from clinicalgpt.config import ModelConfig  # noqa: E402
from clinicalgpt.files import write_json  # noqa: E402
from clinicalgpt.model import Transformer  # noqa: E402

CONFIG = ModelConfig.bloom(vocabulary=250880, width=4096, layers=30, heads=32)
SHARD = 4 * 10**9


def write(folder):
    """Every shard's tensors are made when it is written."""
    folder.mkdir(parents=True)
    with torch.device("meta"):
        model = Transformer(CONFIG)
    shards, generator, places = [[]], torch.Generator().manual_seed(0), {}
    for name, parameter in model.named_parameters():
        if sum(2 * shape.numel() for _, shape in shards[-1]) + 2 * parameter.numel() > SHARD:
            shards.append([])
        shards[-1].append((model.their_name(name), parameter.shape))
    for i, shard in enumerate(shards, 1):
        file = f"model-{i:05}-of-{len(shards):05}.safetensors"
        tensors = {name: torch.empty(shape, dtype=torch.bfloat16).normal_(0, 0.02, generator=generator)
                   for name, shape in shard}
        for name, tensor in tensors.items():
            if len(tensor.shape) == 1 and name.endswith("weight"):
                tensor += 1                                     # of a norm
        save_file(tensors, folder / file, metadata={"format": "pt"})
        places |= {name: file for name, _ in shard}
    write_json(folder / "model.safetensors.index.json", {"weight_map": places})
    write_json(folder / "config.json", CONFIG.to_json() | {"torch_dtype": "bfloat16"})


def measured(rows, what, work, count=3):
    """Run `work` a few times; note the first and the median time, and the peak memory so far."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1e6
    rows.append(f"| {what} | {times[0]:.2f} | {sorted(times)[count // 2]:.2f} | {peak:.1f} |")
    return result


def main(folder):
    if not (folder / "config.json").is_file():
        write(folder)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e9
    count = len(list(folder.glob("*.safetensors")))
    rows = [f"| {size:.1f} GB in {count} shards, bfloat16 | first, s | median, s | peak, GB |",
            "| --- | --- | --- | --- |"]
    model = measured(rows, "load", lambda: load_model(folder, torch.bfloat16))
    ids = torch.randint(4, 250880, (128,), generator=torch.Generator().manual_seed(1)).tolist()
    logits = measured(rows, "forward, 128 tokens, all logits", lambda: model.logits([ids])[0])
    assert logits.isfinite().all()
    measured(rows, "4 prompts of 32 tokens, 8 new tokens each", lambda: generate(
        model, [ids[i:i + 32] for i in range(0, 128, 32)], 8))
    print("\n".join(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "runs" / "seven-billion"))
