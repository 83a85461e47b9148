"""
The paper's four evaluations, for any number of models side by side, of any kind, by any judge.
Everything is greedy; numbers come with what they are and 95 % intervals; docs/evaluation.md has all of it.

    dialogue     one reply to each doctor's turn, given the true history    BLEU, GLEU, ROUGE, distinct
    exam         the option whose text is likeliest; what it writes         accuracy, by category
    diagnosis    record -> diagnosis                                        accuracy, by disease group
    qa           answers judged pairwise, in both orders                    win / tie / lose, F1 of facts
    safety       emergencies, traps, requests to refuse (--tasks safety)    safe, unsafe, unclear

    python evaluate.py                                     base, SFT and PPO on the embedded test sets
    python evaluate.py --models base=DIR sft=runs/sft old=answers.jsonl other=http://localhost:8000/v1#NAME \
        --data test_*.jsonl --train train.jsonl --judge reference,https://host/v1#JUDGE --out runs/eval

Answers are kept in OUT/cache.jsonl by the hash of model, prompt and settings: the same command goes on where
it was killed.
"""
import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path

from clinicalgpt.answers import Cache, Failure
from clinicalgpt.cli import arg, run_main
from clinicalgpt.evaluation.judged import judge_answers, open_judges, reward_scores
from clinicalgpt.evaluation.scores import MEASURE, rows_of
from clinicalgpt.evaluation.shown import (
    TRAININGS,
    answer_lines,
    confusions,
    differing,
    over_trainings,
    replies_of,
)
from clinicalgpt.evaluation.speakers import URL, digest_of, open_speakers, parse_source
from clinicalgpt.evaluation.tasks import ASK, MORE, TASKS
from clinicalgpt.evaluation.testset import (
    contaminated,
    files_of_tests,
    load_records,
    load_tests,
    training_files,
)
from clinicalgpt.evaluation.verdicts import read_labels
from clinicalgpt.files import read_json, sha256, write_json, write_jsonl
from clinicalgpt.judge import GraphJudge
from clinicalgpt.pretrain import tiny_base
from clinicalgpt.report import results_section, run_section, write_report
from clinicalgpt.run import device_of, dtype_of, load_reward, versions


@dataclass(frozen=True)
class EvalConfig:
    """Compare models on dialogue, exam, diagnosis and judged QA."""
    models: tuple = arg(("base=tiny", "sft=runs/sft", "ppo=runs/ppo"),
                        "name=SOURCE of each model: a run, a model folder, tiny, a file of answers "
                        "(FILE.jsonl, FILE.jsonl#MODEL) or an endpoint (http://host/v1#MODEL)")
    tasks: str = arg(",".join(TASKS), f"which of them to do; and {', '.join(MORE)}")
    data: tuple = arg((), "test records, JSON lines, of any of the tasks (default: the embedded ones)")
    train: tuple = arg((), "training files to compare the tests with (default: those that the runs name)")
    judge: str = arg("", "who judges qa, one or several: facts, all-facts, reference, reward, URL#MODEL "
                         "(default: facts, or reference where there is no graph; and reward, with --reward)")
    graph: str = arg("", "knowledge graph (tsv) of facts (default: the embedded one for embedded records; "
                         "'none': no graph)")
    reward: str = arg("", "run folder of a reward model, to score the qa answers as well")
    rubrics: str = arg("", "questions with rubrics, JSON lines, graded by each judge that is an endpoint")
    labels: str = arg("", "verdicts of people, JSON lines, to compare the judges with")
    last_turn: bool = arg(False, "dialogue: reply to the last doctor's turn alone")
    rotations: bool = arg(False, "exam: ask in all rotations of the options, too")
    shots: int = arg(0, "exam: solved questions before each one, from --examples")
    examples: tuple = arg((), "exam questions to take them from, JSON lines; none of the test")
    out: str = arg("runs/eval", "folder for report.html, report.md, results.json, answers.jsonl and "
                             "judgements.jsonl; if stopped, the same command goes on from its cache.jsonl")
    title: str = arg("ClinicalGPT: evaluation", "title of the report")
    lang: str = arg("zh", "language of the embedded records: zh or en")
    seed: int = arg(0, "seed of the embedded records; endpoints are sent it")
    template: str = arg("auto", "markers of models that are no run: their own, or plain, chatml, llama3")
    device: str = arg("auto", "cpu, cuda or auto")
    dtype: str = arg("auto", "float32, bfloat16 or auto (bfloat16 on cuda)")
    batch_size: int = arg(64, "answers generated together")
    micro_batch_tokens: int = arg(16384, "tokens scored together")
    max_len: int = arg(1024, "tokens of a prompt; the oldest beyond are cut")
    max_new_tokens: int = arg(64, "tokens of an answer")
    judge_tokens: int = arg(1024, "tokens of a judgement by an endpoint")
    parallel: int = arg(8, "requests to an endpoint at a time")
    per_minute: float = arg(0.0, "requests to an endpoint a minute; 0: no limit")
    model_key: str = arg("OPENAI_API_KEY", "variable of the environment with the key of models' endpoints")
    judge_key: str = arg("OPENAI_API_KEY", "variable of the environment with the key of judges' endpoints")
    limit: int = arg(0, "records of each task; 0: all")


def main(cfg):
    device = device_of(cfg.device)                              # 1. what is wrong is said before the work
    dtype, sources = dtype_of(cfg.dtype, device), checked(cfg)
    records, graph = load_tests(cfg)
    solved = load_records(cfg.examples)["exam"] if cfg.shots else ()
    labels = read_labels(cfg.labels) if cfg.labels else None
    out = Path(cfg.out)
    if "stage" in read_json(out / "config.json", missing={}):
        raise ValueError(f"--out {out}: a training run, whose report would be lost; name another folder")
    cache = Cache(out / "cache.jsonl")
    judges = open_judges(cfg, graph, cache)
    folders = {name: source for name, source in sources.items() if parse_source(source)[0] == "folder"}
    digests = {folder: digest_of(folder) for folder in [*folders.values(), *filter(None, [cfg.reward])]}
    runs = {name: folder for name, folder in {**folders, "reward": cfg.reward}.items()
            if folder and (Path(folder) / "metrics.jsonl").is_file()}
    for folder in runs.values():
        run_section(folder)                                     # a log that cannot be shown

    answers = dict.fromkeys(sources)                            # 2. every model answers all, files first
    for name in sorted(sources, key=lambda name: parse_source(sources[name])[0] != "file"):
        speakers = open_speakers(name, sources[name], records, cfg, cache, digests)
        answers[name] = {}
        for task, of_task in records.items():
            solved_if_exam = (solved,) if task == "exam" else ()
            answers[name][task] = ASK[task](speakers[task], of_task, cfg, *solved_if_exam)
            check_answered(name, task, answers[name][task])

    rows, tables, scores = [], {}, {}                           # 3. numbers, a row a metric, a cell a model
    if cfg.reward and "qa" in records:
        texts = {name: answers[name]["qa"] for name in sources}
        scores = reward_scores(load_reward(cfg.reward, device, dtype), records["qa"], texts, cfg)
    more = {"dialogue": (cfg.last_turn,), "qa": (GraphJudge(graph) if graph else None, scores)}
    for task in filter(MEASURE.get, records):
        measured = {name: MEASURE[task](records[task], answers[name][task], *more.get(task, ()))
                    for name in sources}
        rows += (found := rows_of(task, records[task], measured))
        if several := [*over_trainings(task, measured, found)]:
            tables.setdefault("Over trainings", [TRAININGS]).extend(several)
    found, judgements, people = judge_answers(judges, records, answers, labels, scores)
    rows, tables = rows + found, tables | people | confusions(records, answers)

    files, absent = training_files(cfg, folders)                # 4. what of the tests was in training
    below, table = contaminated(records, files, absent)
    tables |= {"Contamination": table} if files else {}

    known, shown = facts(cfg, sources, digests, files), differing(records, answers, judgements, cfg.last_turn)
    write_json(out / "results.json", {"rows": rows, "contamination": below, "tables": tables,
                                      "facts": dict(known)})
    write_jsonl(out / "answers.jsonl", answer_lines(records, answers))
    write_jsonl(out / "judgements.jsonl", judgements)
    write_report(out, cfg.title, runs, rows, shown, known, tables, below)
    print(results_section([row for row in rows if row["main"]], below, notes=False)[1])
    print(f"{out}/report.html")
    return {(row["task"], row["metric"]): row["models"] for row in rows}


def checked(cfg):
    """{name: source} of the models.  Raises ValueError or FileNotFoundError for flags that cannot be."""
    sources = dict(model.split("=", 1) for model in cfg.models if "=" in model)
    if len(sources) != len(cfg.models) or "" in sources or not set(cfg.tasks.split(",")) <= {*TASKS, *MORE}:
        raise ValueError(f"--models {' '.join(cfg.models)} --tasks {cfg.tasks}: "
                         f"models are name=folder, each name once, tasks are of {','.join(TASKS + MORE)}")
    for name, least in {"batch_size": 1, "micro_batch_tokens": 1, "max_len": 2, "max_new_tokens": 1,
                        "judge_tokens": 1, "parallel": 1, "per_minute": 0, "limit": 0, "shots": 0}.items():
        if getattr(cfg, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(cfg, name)}: must be at least {least}")
    if cfg.rubrics and not any(map(URL.match, cfg.judge.split(","))):
        raise ValueError("--rubrics: only a model can grade them; name one with --judge URL#MODEL")
    if bool(cfg.shots) != bool(cfg.examples):
        raise ValueError("--shots and --examples: give both, how many and from which files, or neither")
    sources = {name: str(tiny_base(cfg.lang)) if source == "tiny" else source
               for name, source in sources.items()}
    for source in sources.values():
        if parse_source(source)[0] == "folder":
            read_json(Path(source) / "config.json")
    files = [where for kind, where, _ in map(parse_source, sources.values()) if kind == "file"]
    for path in [*files, *cfg.train, *([Path(cfg.reward) / "config.json"] if cfg.reward else [])]:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file")
    return sources


def check_answered(name, task, said):
    """Raises ValueError if no answer at all came."""
    flat = [reply for answer in said for reply in replies_of(answer)]
    if flat and all(isinstance(reply, Failure) for reply in flat):
        raise ValueError(f"{name}: no answer at all to {len(flat)} questions of {task}; "
                         f"the first: {flat[0].reason}")


def facts(cfg, sources, digests, files):
    """What is needed to get these numbers again."""
    command = ["python", "evaluate.py"]
    for field in dataclasses.fields(cfg):
        value = getattr(cfg, field.name)
        if field.name != "out" and value != field.default:
            command.append(f"--{field.name.replace('_', '-')}")
            command += [] if value is True else map(str, value if isinstance(value, tuple) else [value])
    rows = [("command", shlex.join(command)), ("seed", cfg.seed)]
    rows += [(f"model {name}", source) for name, source in sources.items()]
    rows += [(f"sha256 of model {folder}", digest) for folder, digest in digests.items()]
    tests, graph = files_of_tests(cfg)
    inputs = [*tests, graph, cfg.rubrics, cfg.labels, *cfg.examples, *files]
    inputs += [parse_source(source)[1] for source in sources.values() if parse_source(source)[0] == "file"]
    rows += [(f"sha256 of {path}", sha256(path))
             for path in dict.fromkeys(map(str, inputs)) if path]
    configs = {folder: read_json(Path(folder) / "config.json", {}) for folder in digests}
    rows += [(f"{folder}: {what}", config.get(what, "")) for what in ("command", "seed")
             for folder, config in configs.items() if "stage" in config]
    return rows + list(versions().items())


if __name__ == "__main__":
    run_main(main, EvalConfig)
