"""
The paper's four evaluations, for any number of models side by side.
Everything is greedy; numbers come with 95 % intervals where there is one.

    dialogue     one reply to each doctor's turn, given the true history    BLEU-1..4, GLEU, ROUGE, distinct
    exam         the option whose answer is likeliest, by category          accuracy; also of answers written
                                                                           freely and parsed strictly
    diagnosis    record -> diagnosis, by disease group                      accuracy
    qa           answers judged pairwise, in both orders                    win / tie / lose; facts, where a
                                                                           knowledge graph knows them

    python evaluate.py                                     base, SFT and PPO on the embedded test sets
    python evaluate.py --models base=DIR sft=runs/sft ppo=runs/ppo --data test_*.jsonl --out runs/eval
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import check_messages
from clinicalgpt.files import read_json, read_jsonl, write_json, write_jsonl
from clinicalgpt.metrics import SIGNATURE
from clinicalgpt.pretrain import tiny_base, tiny_data
from clinicalgpt.report import results_section, write_report
from clinicalgpt.run import device_of, dtype_of, load_reward, open_run, versions
from clinicalgpt.tasks import ANSWER, MEASURE, TASKS, Speaker, cell, judge_qa
from data.knowledge_graph import read_graph


@dataclass(frozen=True)
class EvalConfig:
    """Compare models on dialogue, exam, diagnosis and judged QA."""
    models: tuple = arg(("base=tiny", "sft=runs/sft", "ppo=runs/ppo"),
                        "name=folder of each model: a run, or a model folder, or 'tiny'")
    tasks: str = arg(",".join(TASKS), "which of the four to do")
    data: tuple = arg((), "test records, JSON lines, of any of the tasks (default: the embedded ones)")
    graph: str = arg("", "knowledge graph (tsv) for the judge of qa "
                         "(default: the embedded one; 'none': judge by the reference answer)")
    reward: str = arg("", "run folder of a reward model, to score the qa answers as well")
    out: str = arg("runs/eval", "folder for report.html, report.md, results.json and answers.jsonl")
    title: str = arg("ClinicalGPT: evaluation", "title of the report")
    lang: str = arg("zh", "language of the embedded records: zh or en")
    seed: int = arg(0, "seed of the embedded records")
    template: str = arg("auto", "markers of models that are no run: their own, or plain, chatml, llama3")
    device: str = arg("auto", "cpu, cuda or auto")
    dtype: str = arg("auto", "float32, bfloat16 or auto (bfloat16 on cuda)")
    batch_size: int = arg(64, "answers generated together")
    micro_batch_tokens: int = arg(16384, "tokens scored together")
    max_len: int = arg(1024, "tokens of a prompt; the oldest beyond are cut")
    max_new_tokens: int = arg(64, "tokens of an answer")
    limit: int = arg(0, "records of each task; 0: all")


def main(cfg):
    device = device_of(cfg.device)
    dtype = dtype_of(cfg.dtype, device)
    folders = dict(model.split("=", 1) for model in cfg.models if "=" in model)
    for name in ("batch_size", "micro_batch_tokens", "max_len", "max_new_tokens"):
        if getattr(cfg, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least 1")
    if len(folders) != len(cfg.models) or not set(cfg.tasks.split(",")) <= set(TASKS):
        raise ValueError(f"--models {' '.join(cfg.models)} --tasks {cfg.tasks}: "
                         f"models are name=folder, each name once, tasks are of {','.join(TASKS)}")
    records, graph = load_tests(cfg)                            # 1. test records by task; the judge's graph
    folders = {name: str(tiny_base(cfg.lang)) if folder == "tiny" else folder
               for name, folder in folders.items()}
    for folder in [*folders.values(), *([cfg.reward] if cfg.reward else [])]:
        if not Path(folder).is_dir() or folder == cfg.reward:
            read_json(Path(folder) / "config.json")             # said now, not after hours of answering
    rows, answers = [], {}
    for name, folder in folders.items():                        # 2. every model answers everything
        model, tokenizer, template = open_run(folder, device, dtype, cfg.template)
        answers[name] = {task: ANSWER[task](Speaker(model, tokenizer, template, cfg, f"{name}: {task}"),
                                            records[task]) for task in records}
    for task in records:                                        # 3. numbers, a row a metric, a cell a model
        measured = {name: MEASURE[task](records[task], answers[name][task]) for name in folders}
        for metric in next(iter(measured.values())):
            cells = {name: cell(*metrics[metric]) for name, metrics in measured.items() if metric in metrics}
            rows.append({"task": task, "metric": metric, "models": cells,
                         "note": SIGNATURE if task == "dialogue" else ""})
    if "qa" in records:
        reward = load_reward(cfg.reward, device, dtype) if cfg.reward else None
        texts = {name: answers[name]["qa"] for name in folders}
        rows += judge_qa(records["qa"], texts, graph, reward, cfg.max_len)
    out = Path(cfg.out)                                         # 4. results, answers, report
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", {"rows": rows})
    write_jsonl(out / "answers.jsonl", ({"task": task, "id": r["id"], "model": name, "answer": a}
                                        for name in folders for task in records
                                        for r, a in zip(records[task], answers[name][task])))
    runs = training_runs(folders, cfg.reward)
    write_report(out, cfg.title, runs, rows, samples(records, answers), facts(cfg, runs))
    print(results_section(rows)[1])
    print(f"{out}/report.html")
    return {(row["task"], row["metric"]): row["models"] for row in rows}


def load_tests(cfg):
    """({task: records}, graph or None)."""
    paths, graph = cfg.data, cfg.graph
    if not paths:
        folder = tiny_data(cfg.lang, cfg.seed)
        paths, graph = [folder / f"test_{task}.jsonl" for task in TASKS], graph or folder / "graph.tsv"
    wanted, records = cfg.tasks.split(","), defaultdict(list)
    for path in paths:
        for line, record in read_jsonl(path):
            where, task = f"{path}:{line}", {"kg": "qa"}.get(record.get("task"), record.get("task"))
            check_messages(record, where, ends_with="assistant")
            if task not in TASKS:
                raise ValueError(f"{where}: task {record.get('task')!r}; tasks are {', '.join(TASKS)}")
            meta, needed = record.setdefault("meta", {}), {"exam": ("options", "answer"),
                                                           "diagnosis": ("label",)}.get(task, ())
            if missing := [key for key in needed if key not in meta]:
                raise ValueError(f"{where}: meta has no {missing[0]!r}, which the {task} task needs; "
                                 "data/README.md describes the format")
            if len(record["messages"]) < 2:
                raise ValueError(f"{where}: 'messages' without a question; "
                                 "data/README.md describes the format")
            if task == "exam" and not (isinstance(meta["options"], dict)
                                       and meta["answer"] in meta["options"]):
                raise ValueError(f"{where}: answer {meta['answer']!r} is not in options {meta['options']!r}; "
                                 "repair the record")
            record.setdefault("id", f"{Path(path).stem}-{line}")
            if task in wanted and (not cfg.limit or len(records[task]) < cfg.limit):
                records[task].append(record)
    if not records:
        raise ValueError(f"{', '.join(map(str, paths))}: no record of the tasks {cfg.tasks}")
    return ({task: records[task] for task in wanted if task in records},
            read_graph(graph) if graph and graph != "none" else None)


def training_runs(folders, reward):
    """{name: folder} of every run behind these models that left curves."""
    runs = dict(folders)
    if reward:
        runs["reward"] = reward
    return {name: folder for name, folder in runs.items() if (Path(folder) / "metrics.jsonl").is_file()}


def samples(records, answers, count=10):
    """Questions answered side by side."""
    chosen = records.get("qa") or next(iter(records.values()))
    task = "qa" if "qa" in records else next(iter(records))
    return [{"question": record["messages"][-2]["content"],
             "answers": {name: str(texts[task][i]) for name, texts in answers.items()}
             | {"reference": record["messages"][-1]["content"]}}
            for i, record in list(enumerate(chosen))[:: max(1, len(chosen) // count)][:count]]


def facts(cfg, runs):
    """What is needed to get these numbers again."""
    configs = {name: read_json(Path(folder) / "config.json") for name, folder in runs.items()}
    rows = [(f"{name}: command", config.get("command", "")) for name, config in configs.items()]
    rows += [(f"{name}: seed", config.get("seed", "")) for name, config in configs.items()]
    rows += [(f"sha256 of {path}", hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16])
             for path in cfg.data]
    return rows + [("models", " ".join(cfg.models)), ("seed", cfg.seed), *versions().items()]



if __name__ == "__main__":
    run_main(main, EvalConfig)
