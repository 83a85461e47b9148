"""
Is it luck?  Runs the whole story for several seeds (data, order, adapters and samples all change) and prints
one table.

    python scripts/seeds.py 0 1 2 3 4              runs/seeds/<seed> each, then the table;
                                                   a seed that has its results is not run again
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

ROWS = [("dialogue", "BLEU-4"), ("dialogue", "ROUGE-L"), ("exam", "accuracy"), ("diagnosis", "accuracy"),
        ("qa", "F1 of facts"), ("qa", "reward"), ("qa judged by facts", "win rate against base"),
        ("qa judged by facts", "win rate against sft"), ("qa judged by reward", "win rate against sft")]


def shown(cell):
    return f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]" if cell else ""


def spread(values):
    return f"{statistics.mean(values):.2f} ({statistics.stdev(values):.3f})" if values else ""


def main(seeds):
    lines = ["| seed | task | metric | base | SFT | PPO |", "| --- | --- | --- | --- | --- | --- |"]
    values = {}
    for seed in seeds:
        out = Path("runs/seeds") / seed
        if not (out / "results.json").is_file():
            subprocess.run(["./speedrun.sh", "--seed", seed, "--out", str(out)], check=True)
        rows = {(row["task"], row["metric"]): row["models"]
                for row in json.loads((out / "results.json").read_text())["rows"]}
        lines += [f"| {seed} | {task} | {metric} | "
                  + " | ".join(shown(rows[task, metric].get(m)) for m in ("base", "sft", "ppo")) + " |"
                  for task, metric in ROWS]
        for row in ROWS:
            for name, cell in rows[row].items():
                values.setdefault((*row, name), []).append(cell["value"])
        steps = [json.loads(line) for line in (out / "ppo" / "metrics.jsonl").read_text().splitlines()]
        kl = [step["kl"] for step in steps]
        lines.append(f"| {seed} | PPO | KL to SFT, nats per answer: last (largest) | | | "
                     f"{kl[-1]:.2f} ({max(kl):.2f}) |")
    if len(seeds) > 1:                                 # of all that a seed moves, records included
        lines += [f"| all | {task} | {metric}: mean (deviation over seeds) | "
                  + " | ".join(spread(values.get((task, metric, name))) for name in ("base", "sft", "ppo"))
                  + " |" for task, metric in ROWS]
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:] or ["0"])
