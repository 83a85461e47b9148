"""
The paper's four evaluations, for any number of models side by side.  Everything is greedy and every number has a 95 % interval.

    dialogue     one reply to each doctor's turn, given the true history    BLEU-1..4, GLEU, ROUGE, distinct
    exam         the option whose answer is likeliest, by category          accuracy; also of answers written freely and parsed strictly
    diagnosis    record -> diagnosis, by disease group                      accuracy
    qa           answers judged pairwise, in both orders                    win / tie / lose; facts, where a knowledge graph knows them

    python evaluate.py                                     base, SFT and PPO on the embedded test sets
    python evaluate.py --models base=DIR sft=runs/sft ppo=runs/ppo --data test_*.jsonl --out runs/eval
"""

import hashlib
import itertools
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from clinicalgpt.cli import arg, run_main
from clinicalgpt.dataset import Example, check_messages, micro_batches, pack
from clinicalgpt.files import read_json, read_jsonl, write_json, write_jsonl
from clinicalgpt.generate import generate
from clinicalgpt.judge import GraphJudge, ReferenceJudge, ScoreJudge, judge_pairs
from clinicalgpt.lora import adapter
from clinicalgpt.metrics import (
    SIGNATURE,
    bleu_rows,
    bootstrap,
    corpus_bleu,
    corpus_gleu,
    distinct,
    gleu_rows,
    rouge_rows,
    wilson,
)
from clinicalgpt.pretrain import tiny_base, tiny_data
from clinicalgpt.report import markdown_table, write_report
from clinicalgpt.reward import last_token_score
from clinicalgpt.run import device_of, load_reward, open_run, versions
from clinicalgpt.tokenizer import encode_dialogue
from data.knowledge_graph import read_graph

TASKS = ("dialogue", "exam", "diagnosis", "qa")
EXAM_ANSWER = {"zh": "答案：{text}（{letter}）", "en": "Answer: {text} ({letter})"}          # as data/exam.py and data/wordings.py write them
EXAM_LETTER = re.compile(r"[（(]([A-Z])[）)][.。]?$")
DIAGNOSIS_CUE = re.compile(r"^(诊断|Diagnosis)\s*[：:]\s*")


@dataclass(frozen=True)
class EvalConfig:
    """Compare models on dialogue, exam, diagnosis and judged QA."""
    models: tuple = arg(("base=tiny", "sft=runs/sft", "ppo=runs/ppo"), "name=folder of each model: a run, or a model folder, or 'tiny'")
    tasks: str = arg(",".join(TASKS), "which of the four to do")
    data: tuple = arg((), "test records, JSON lines, of any of the tasks (default: the embedded ones)")
    graph: str = arg("", "knowledge graph (tsv) for the judge of qa (default: the embedded one; 'none': judge by the reference answer)")
    reward: str = arg("", "run folder of a reward model, to score the qa answers as well")
    out: str = arg("runs/eval", "folder for report.html, report.md, results.json and answers.jsonl")
    title: str = arg("ClinicalGPT: evaluation", "title of the report")
    lang: str = arg("zh", "language of the embedded records: zh or en")
    seed: int = arg(0, "seed of the embedded records")
    device: str = arg("auto", "cpu, cuda or auto")
    dtype: str = arg("auto", "float32, bfloat16 or auto (bfloat16 on cuda)")
    batch_size: int = arg(128, "answers generated together")
    micro_batch_tokens: int = arg(16384, "tokens scored together")
    max_len: int = arg(1024, "tokens of a prompt; the oldest beyond are cut")
    max_new_tokens: int = arg(64, "tokens of an answer")
    limit: int = arg(0, "records of each task; 0: all")


def main(cfg):
    device = device_of(cfg.device)
    dtype = {"auto": torch.bfloat16 if device.type == "cuda" else torch.float32,
             "float32": torch.float32, "bfloat16": torch.bfloat16}.get(cfg.dtype)
    folders = dict(model.split("=", 1) for model in cfg.models if "=" in model)
    for name in ("batch_size", "micro_batch_tokens", "max_len", "max_new_tokens"):
        if getattr(cfg, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least 1")
    if len(folders) != len(cfg.models) or dtype is None or not set(cfg.tasks.split(",")) <= set(TASKS):
        raise ValueError(f"--models {' '.join(cfg.models)} --tasks {cfg.tasks} --dtype {cfg.dtype}: models are name=folder, each name once, "
                         f"tasks are of {','.join(TASKS)}, dtype float32, bfloat16 or auto")
    records, graph = load_tests(cfg)                                                # 1. test records by task; the judge's graph
    folders = {name: str(tiny_base(cfg.lang)) if folder == "tiny" else folder for name, folder in folders.items()}
    for folder in [*folders.values(), *([cfg.reward] if cfg.reward else [])]:
        if not Path(folder).is_dir() or folder == cfg.reward:
            read_json(Path(folder) / "config.json")                                 # said now, not after hours of answering
    rows, answers = [], {}
    for name, folder in folders.items():                                            # 2. every model answers everything
        model, tokenizer, template = open_run(folder, device, dtype)
        answers[name] = {task: ANSWER[task](Speaker(model, tokenizer, template, cfg, f"{name}: {task}"), records[task]) for task in records}
    for task in records:                                                            # 3. numbers, a row a metric, a cell a model
        measured = {name: MEASURE[task](records[task], answers[name][task]) for name in folders}
        for metric in next(iter(measured.values())):
            cells = {name: cell(*metrics[metric]) for name, metrics in measured.items() if metric in metrics}
            rows.append({"task": task, "metric": metric, "models": cells, "note": SIGNATURE if task == "dialogue" else ""})
    if "qa" in records:
        rows += judged(records["qa"], {name: answers[name]["qa"] for name in folders}, graph, cfg, device, dtype)
    out = Path(cfg.out)                                                             # 4. results, answers, report
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", {"rows": rows})
    write_jsonl(out / "answers.jsonl", ({"task": task, "id": r["id"], "model": name, "answer": a}
                                        for name in folders for task in records for r, a in zip(records[task], answers[name][task])))
    runs = training_runs(folders, cfg.reward)
    write_report(out, cfg.title, runs, rows, samples(records, answers), facts(cfg, runs))
    print(markdown_table([["task", "metric", *folders]] + [
        [row["task"], row["metric"], *(shown(row["models"].get(name)) for name in folders)] for row in rows]))
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
            meta, needed = record.setdefault("meta", {}), {"exam": ("options", "answer"), "diagnosis": ("label",)}.get(task, ())
            if missing := [key for key in needed if key not in meta]:
                raise ValueError(f"{where}: meta has no {missing[0]!r}, which the {task} task needs; data/README.md describes the format")
            if len(record["messages"]) < 2:
                raise ValueError(f"{where}: 'messages' without a question; data/README.md describes the format")
            if task == "exam" and not (isinstance(meta["options"], dict) and meta["answer"] in meta["options"]):
                raise ValueError(f"{where}: answer {meta['answer']!r} is not in options {meta['options']!r}; repair the record")
            record.setdefault("id", f"{Path(path).stem}-{line}")
            if task in wanted and (not cfg.limit or len(records[task]) < cfg.limit):
                records[task].append(record)
    if not records:
        raise ValueError(f"{', '.join(map(str, paths))}: no record of the tasks {cfg.tasks}")
    return {task: records[task] for task in wanted if task in records}, read_graph(graph) if graph and graph != "none" else None


class Speaker:
    """A model with its tokenizer and template, as the tasks need it: it replies, and it scores given replies."""

    def __init__(self, model, tokenizer, template, cfg, label):
        self.model, self.tokenizer, self.template, self.cfg, self.label = model, tokenizer, template, cfg, label

    def replies(self, dialogues):
        """A greedy reply to each dialogue, in order."""
        prompts = [encode_dialogue(self.tokenizer, self.template, d)[0][-self.cfg.max_len:] for d in dialogues]
        order, texts = sorted(range(len(prompts)), key=lambda i: -len(prompts[i])), [""] * len(prompts)
        for start in tqdm(range(0, len(order), self.cfg.batch_size), desc=self.label, unit="batch", mininterval=1):
            rows = order[start:start + self.cfg.batch_size]
            new = generate(self.model, [prompts[i] for i in rows], self.cfg.max_new_tokens, eos_id=self.tokenizer.eos_id)
            for i, ids in zip(rows, new):
                texts[i] = self.tokenizer.decode(ids).strip()
        return texts

    @torch.no_grad()
    def logp(self, dialogues):
        """log p of the last assistant message of each dialogue, its end token included."""
        examples = []
        for dialogue in dialogues:
            prompt = len(encode_dialogue(self.tokenizer, self.template, dialogue[:-1])[0])
            ids, _ = encode_dialogue(self.tokenizer, self.template, dialogue)
            ids, prompt = ids[-self.cfg.max_len:], max(prompt - max(len(ids) - self.cfg.max_len, 0), 1)
            examples.append(Example(ids, [i >= prompt for i in range(len(ids))], {}))
        totals = []
        for part in tqdm(list(micro_batches(examples, self.cfg.micro_batch_tokens, lambda e: len(e.ids))), desc=self.label, unit="batch"):
            logp_M, _ = self.model.score(pack(part, self.model.device))
            totals += [share.sum().item() for share in logp_M.split([sum(example.answer) for example in part])]
        return totals


def doctor_turns(records):
    """[(which record, messages before a doctor's turn, what the doctor said), ...]"""
    return [(r, record["messages"][:i], message["content"]) for r, record in enumerate(records)
            for i, message in enumerate(record["messages"]) if message["role"] == "assistant" and i]


def answer_dialogue(speaker, records):
    """A list of replies a record, one to each doctor's turn."""
    turns, replies = doctor_turns(records), [[] for _ in records]
    for (r, _, _), text in zip(turns, speaker.replies([history for _, history, _ in turns])):
        replies[r].append(text)
    return replies


def answer_exam(speaker, records):
    """{"text": what it writes, "logp": {letter: log p of that option's answer, per UTF-8 byte}} a record."""
    questions = [record["messages"][:-1] for record in records]
    written, dialogues, sizes = speaker.replies(questions), [], []
    for record, question in zip(records, questions):
        form = EXAM_ANSWER["zh" if re.search("[\u4e00-\u9fff]", question[-1]["content"]) else "en"]
        for letter, text in record["meta"]["options"].items():
            dialogues.append(question + [{"role": "assistant", "content": form.format(text=text, letter=letter)}])
            sizes.append(len(dialogues[-1][-1]["content"].encode()))
    logps = iter(logp / size for logp, size in zip(speaker.logp(dialogues), sizes))
    return [{"text": text, "logp": {letter: next(logps) for letter in record["meta"]["options"]}} for text, record in zip(written, records)]


def answer_last(speaker, records):
    return speaker.replies([record["messages"][:-1] for record in records])


def measure_dialogue(records, replies):
    """{metric: (value, low, high)}; intervals resample dialogues, not turns."""
    per_record = [[] for _ in records]
    for (r, _, reference), text in zip(doctor_turns(records), itertools.chain(*replies)):
        per_record[r].append((text, reference))

    def table(rows_of, *more):
        return np.array([np.sum(rows_of(*zip(*pairs), *more), axis=0) for pairs in per_record], dtype=float)
    metrics = {}
    for n in (1, 2, 3, 4):
        rows = table(bleu_rows, n)
        metrics[f"BLEU-{n}"] = (corpus_bleu(rows), *bootstrap(corpus_bleu, rows))
    rows = table(gleu_rows)
    metrics["GLEU"] = (corpus_gleu(rows), *bootstrap(corpus_gleu, rows))
    rows, turns = table(rouge_rows), np.array([len(pairs) for pairs in per_record], dtype=float)
    for i, name in enumerate(("ROUGE-1", "ROUGE-2", "ROUGE-L")):
        metrics[name] = (rows[:, i].sum() / turns.sum(), *bootstrap(lambda total, count: total.sum() / count.sum(), rows[:, i], turns))
    texts = [text for pairs in per_record for text, _ in pairs]
    return metrics | {f"distinct-{n}": (distinct(texts, n),) for n in (1, 2)}


def measure_exam(records, answers):
    best = [max(answer["logp"], key=answer["logp"].get) for answer in answers]
    parsed = [match[1] if (match := EXAM_LETTER.search(answer["text"])) else None for answer in answers]
    gold = [record["meta"]["answer"] for record in records]
    metrics = proportions("accuracy", [a == b for a, b in zip(best, gold)], [record["meta"].get("category") or "all" for record in records])
    metrics["accuracy, written and parsed"] = proportion([a == b for a, b in zip(parsed, gold)])
    return metrics | {"unparsed": proportion([letter is None for letter in parsed])}


def measure_diagnosis(records, answers):
    def name(text):
        return DIAGNOSIS_CUE.sub("", text.strip()).strip(" .。").lower()
    right = [name(answer) in {name(label) for label in (record["meta"]["label"], *record["meta"].get("aliases", ()))}
             for record, answer in zip(records, answers)]
    return proportions("accuracy", right, [record["meta"].get("group") or "all" for record in records])


def measure_qa(records, answers):
    lengths = np.array([len(answer) for answer in answers], dtype=float)
    return {"characters": (lengths.mean(), *bootstrap(np.mean, lengths))}


def proportion(right):
    return sum(right) / len(right), *wilson(sum(right), len(right))


def proportions(name, right, groups):
    """Over all records, the average over groups, and in each group (where there are several)."""
    members = defaultdict(list)
    for group, value in zip(groups, right):
        members[group].append(value)
    metrics = {name: proportion(right)}
    if len(members) > 1:
        metrics["average of groups"] = (float(np.mean([np.mean(values) for values in members.values()])),)
        metrics |= {f"- {group} ({len(values)})": proportion(values) for group, values in sorted(members.items())}
    return metrics


def judged(records, answers, graph, cfg, device, dtype):
    """Rows of pairwise verdicts: by facts (or the reference answer, where no graph knows the question), and by the reward model."""
    rows, judges = [], {}
    if graph is not None:
        judges["facts"] = GraphJudge(graph)
        known = [r for r, record in enumerate(records) if judges["facts"](record, "", "") is not None]
        f1 = {name: [judges["facts"].score(records[r]["meta"]["head"], records[r]["meta"]["relation"], texts[r]) for r in known]
              for name, texts in answers.items()}
        cells = {name: cell(np.mean(np.clip(v, 0, 1)), *bootstrap(np.mean, np.clip(v, 0, 1))) for name, v in f1.items() if known}
        rows.append({"task": "qa", "metric": "F1 of facts", "models": cells})
    else:
        judges["reference"] = ReferenceJudge()
    if cfg.reward:
        model, name, head, tokenizer, template = load_reward(cfg.reward, device, dtype)
        scores = {}
        for answerer, texts in answers.items():
            dialogues = [record["messages"][:-1] + [{"role": "assistant", "content": text}] for record, text in zip(records, texts)]
            encoded = [encode_dialogue(tokenizer, template, dialogue) for dialogue in dialogues]
            with torch.no_grad(), adapter(model, name):
                for record, text, (ids, _) in zip(records, texts, encoded):
                    ids_N = torch.tensor(ids[-cfg.max_len:], device=device)
                    scores[record["id"], text] = last_token_score(model(ids_N, [len(ids_N)]), [len(ids_N)], head).item()
            values = np.array([scores[record["id"], text] for record, text in zip(records, texts)])
            rows.append({"task": "qa", "metric": "reward", "models": {answerer: cell(values.mean(), *bootstrap(np.mean, values))}})
        rows = rows[:-len(answers)] + [{**rows[-1], "models": {k: v for row in rows[-len(answers):] for k, v in row["models"].items()}}]
        judges["reward"] = ScoreJudge(scores)
    for judge_name, judge in judges.items() if len(answers) > 1 else ():
        for opponent in answers:
            verdicts = {name: judge_pairs(judge, records, texts, answers[opponent]) for name, texts in answers.items() if name != opponent}
            counts = {name: {"value": f"{v['win']} / {v['tie']} / {v['lose']}"} for name, v in verdicts.items()}
            rates = {name: cell(v["win_rate"], v["low"], v["high"]) for name, v in verdicts.items()}
            rows += [{"task": f"qa judged by {judge_name}", "metric": f"win / tie / lose against {opponent}", "models": counts},
                     {"task": f"qa judged by {judge_name}", "metric": f"win rate against {opponent}", "models": rates}]
    return rows


def cell(value, low=None, high=None):
    numbers = {"value": round(float(value), 4)}
    return numbers if low is None else numbers | {"low": round(float(low), 4), "high": round(float(high), 4)}


def shown(cell):
    if cell is None:
        return ""
    value = cell["value"] if isinstance(cell["value"], str) else f"{cell['value']:.3f}"
    return f"{value} [{cell['low']:.3f}, {cell['high']:.3f}]" if "low" in cell else value


def training_runs(folders, reward):
    """{name: folder} of every run behind these models that left curves."""
    runs = {Path(folder).name if folder.endswith("base") else name: folder for name, folder in folders.items()}
    if reward:
        runs["reward"] = reward
    return {name: folder for name, folder in runs.items() if (Path(folder) / "metrics.jsonl").is_file()}


def samples(records, answers, count=10):
    """Questions answered side by side."""
    chosen = records.get("qa") or next(iter(records.values()))
    task = "qa" if "qa" in records else next(iter(records))
    return [{"question": record["messages"][-2]["content"],
             "answers": {name: str(texts[task][i]) for name, texts in answers.items()} | {"reference": record["messages"][-1]["content"]}}
            for i, record in list(enumerate(chosen))[:: max(1, len(chosen) // count)][:count]]


def facts(cfg, runs):
    """What is needed to get these numbers again."""
    configs = {name: read_json(Path(folder) / "config.json") for name, folder in runs.items()}
    rows = [(f"{name}: command", config.get("command", "")) for name, config in configs.items()]
    rows += [(f"{name}: seed", config.get("seed", "")) for name, config in configs.items()]
    rows += [(f"sha256 of {path}", hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]) for path in cfg.data]
    return rows + [("models", " ".join(cfg.models)), ("seed", cfg.seed), *versions().items()]


ANSWER = {"dialogue": answer_dialogue, "exam": answer_exam, "diagnosis": answer_last, "qa": answer_last}
MEASURE = {"dialogue": measure_dialogue, "exam": measure_exam, "diagnosis": measure_diagnosis, "qa": measure_qa}


if __name__ == "__main__":
    run_main(main, EvalConfig)
