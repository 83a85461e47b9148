"""
What models are tested on: records, checked as they are read, and how much of them the training files hold.
(Not here: the count itself, see contamination.py; rubrics, rubric.py.)

Training files are those of --train, or those that the models' runs name in their config.json, and the runs
that these started from: SFT, reward model, pretraining.
"""
import re
from collections import defaultdict
from pathlib import Path

from clinicalgpt.dataset import check_messages
from clinicalgpt.evaluation.contamination import contamination, counted
from clinicalgpt.evaluation.rubric import read_rubrics
from clinicalgpt.evaluation.safety import check_safety
from clinicalgpt.evaluation.tasks import MORE, TASKS
from clinicalgpt.exam import rotations
from clinicalgpt.files import read_json, read_jsonl
from clinicalgpt.pretrain import tiny_data
from data.knowledge_graph import read_graph

EMBEDDED = {"pretrain": "pretrain.txt", "sft": "train.jsonl", "reward": "preferences_train.jsonl",
            "ppo": "prompts.jsonl"}
SAFETY = Path(__file__).parents[2] / "data" / "sample" / "safety.jsonl"
NEEDED = {"exam": ("options", "answer"), "diagnosis": ("label",)}
FORMAT = "data/README.md describes the format"


def files_of_tests(cfg):
    """(files of records, the graph's or ""): what the flags name, or the embedded ones."""
    graph = "" if cfg.graph == "none" else cfg.graph
    if cfg.data or cfg.rubrics:
        return list(cfg.data), graph
    folder = tiny_data(cfg.lang, cfg.seed)
    paths = [str(folder / f"test_{task}.jsonl") for task in TASKS]
    paths += [str(SAFETY)] * ("safety" in cfg.tasks.split(","))
    return paths, graph if cfg.graph else str(folder / "graph.tsv")


def load_tests(cfg):
    """({task: records}, graph or None)."""
    (paths, graph), wanted = files_of_tests(cfg), cfg.tasks.split(",")
    records = load_records(paths, wanted, cfg.limit, "" if cfg.data else cfg.lang)
    if cfg.rotations:
        records["exam"] = [turned for record in records["exam"] for turned in rotations(record)]
    if cfg.rubrics:
        records["rubric"] = read_rubrics(cfg.rubrics)[:cfg.limit or None]
        for i, record in enumerate(records["rubric"], 1):
            record |= {"id": str(record.get("id", f"{Path(cfg.rubrics).stem}-{i}")), "meta": {}}
        check_ids(records["rubric"], cfg.rubrics)
    if not any(records.values()):
        raise ValueError(f"{', '.join(map(str, paths))}: no record of the tasks {cfg.tasks}")
    return ({task: records[task] for task in (*wanted, "rubric") if records[task]},
            read_graph(graph) if graph else None)


def load_records(paths, wanted=TASKS, limit=0, lang=""):
    """{task: records} of JSON-lines files, without those of another language.  A record's "id" is a text, and
    no other of its task has it."""
    records = defaultdict(list)
    for path in paths:
        for line, record in read_jsonl(path):
            where, task = f"{path}:{line}", {"kg": "qa"}.get(record.get("task"), record.get("task"))
            check_record(record, task, where)
            record["id"] = str(record.get("id", f"{Path(path).stem}-{line}"))
            spoken = not lang or record.get("lang", lang) == lang
            if task in wanted and spoken and (not limit or len(records[task]) < limit):
                records[task].append(record)
    for task, found in records.items():
        check_ids(found, f"{', '.join(map(str, paths))}: {task}")
    return records


def check_ids(records, where):
    names = [record["id"] for record in records]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"{where}: id {twice!r} is that of two records; give each its own")


def check_record(record, task, where):
    """Raises ValueError for a record that its task cannot use."""
    check_messages(record, where, ends_with="user" if task == "safety" else "assistant")
    if task not in TASKS + MORE:
        raise ValueError(f"{where}: task {record.get('task')!r}; tasks are {', '.join(TASKS + MORE)}")
    if task == "safety":
        return check_safety(record, where)
    meta = record.setdefault("meta", {})
    if missing := [key for key in NEEDED.get(task, ()) if key not in meta]:
        raise ValueError(f"{where}: meta has no {missing[0]!r}, which the {task} task needs; {FORMAT}")
    if all(message["role"] != "user" for message in record["messages"]):
        raise ValueError(f"{where}: 'messages' without a question; {FORMAT}")
    if task == "exam":
        options, answer = meta["options"], meta["answer"]
        if not (isinstance(options, dict) and len(options) > 1 and all(
                re.fullmatch("[A-Z]", letter) and isinstance(text, str) and text.strip()
                for letter, text in options.items())):
            raise ValueError(f"{where}: options {options!r} are not two or more capitals with a text each; "
                             "repair the record")
        if not (isinstance(answer, str) and answer and set(answer) <= set(options)):
            raise ValueError(f"{where}: answer {answer!r} is not in options {options!r}; repair the record")
    for name in ("label", "group", "category", "patient"):
        value = meta.get(name) or ""
        if not isinstance(value, str) or name == "label" in meta and not value.strip():
            raise ValueError(f"{where}: {name} {meta[name]!r} is no text; {FORMAT}")
    aliases = meta.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise ValueError(f"{where}: aliases {aliases!r} are not a list of texts; {FORMAT}")


def training_files(cfg, folders):
    """(files that models learned from, those of them that are not here)"""
    found, seen = dict.fromkeys(cfg.train), set()

    def visit(folder):
        config = read_json(Path(folder) / "config.json", {})
        if not folder or folder in seen or "stage" not in config:
            return
        seen.add(folder)
        named = [*config.get("text", ()), *config.get("data", ()), *config.get("pretrain", ())]
        if not config.get("text") and not config.get("data") and config["stage"] in EMBEDDED:
            seed = config["seed"] if config["stage"] != "pretrain" else 0
            named.append(str(tiny_data(config["lang"], seed) / EMBEDDED[config["stage"]]))
        found.update(dict.fromkeys(named))
        base = config.get("base", "")
        for below in (config.get("init"), config.get("trunk"), config.get("reward"),
                      f"runs/tiny-{config.get('lang')}/base" if base == "tiny" else base):
            visit(below or "")
    for folder in () if cfg.train else (*folders.values(), cfg.reward):
        visit(str(folder))
    absent = [path for path in found if not cfg.train and not Path(path).is_file()]
    return [path for path in found if path not in absent], absent


def contaminated(records, files, absent):
    """(a sentence, a table): a row a task."""
    if not files:
        return "contamination: not known, for no training file is; name them with --train", []
    flat = [(task, record) for task in records for record in records[task]
            if "rotation" not in record["meta"]]
    rows, _ = contamination([record for _, record in flat], files)
    counts = {task: counted([row for (of, _), row in zip(flat, rows) if of == task]) for task in records}
    said = ", ".join(f"{task} {count['asked']} / {count['question >= 80%']} / {count['answer >= 80%']} of "
                     f"{count['records']}" for task, count in counts.items())
    lost = f"; not here, though runs name them: {', '.join(absent)}" if absent else ""
    return (f"contamination by {len(files)} training files (question asked there / 80 % of its 13-grams "
            f"there / 80 % of the answer's): {said}{lost}",
            [["task", *counts[flat[0][0]]], *([task, *count.values()] for task, count in counts.items())])
