"""
The four evaluations: what a model is asked, and what is counted.  (Not here: the command line, files and the
report, see evaluate.py; the metrics, see metrics.py; who wins, see judge.py.)

    dialogue     one reply to each doctor's turn, given the true history: BLEU, GLEU, ROUGE, distinct
    exam         log p of each option's answer, per UTF-8 byte, and what the model writes, parsed strictly
    diagnosis    the whole answer equals the label or an alias of it
    qa           facts against the graph, and pairwise verdicts in both orders

Every measure_ function returns {metric: (value, low, high)}, a 95 % interval, or (value,) without one.
"""

import itertools
import re
from collections import defaultdict

import numpy as np
import torch
from tqdm import tqdm

from clinicalgpt.dataset import Example, micro_batches, pack
from clinicalgpt.generate import generate
from clinicalgpt.judge import GraphJudge, ReferenceJudge, ScoreJudge, judge_pairs
from clinicalgpt.lora import adapter
from clinicalgpt.metrics import (
    bleu_rows,
    bootstrap,
    corpus_bleu,
    corpus_gleu,
    distinct,
    gleu_rows,
    rouge_rows,
    wilson,
)
from clinicalgpt.reward import last_token_score
from clinicalgpt.template import encode_dialogue, newest

TASKS = ("dialogue", "exam", "diagnosis", "qa")
EXAM_ANSWER = {"zh": "答案：{text}（{letter}）", "en": "Answer: {text} ({letter})"}   # as data/ writes them
EXAM_LETTER = re.compile(r"[（(]([A-Z])[）)][.。]?$")
DIAGNOSIS_CUE = re.compile(r"^(诊断|Diagnosis)\s*[：:]\s*")


class Speaker:
    """A model with its tokenizer and template, as the tasks need it:
    it replies, and it scores given replies."""

    def __init__(self, model, tokenizer, template, cfg, label):
        self.model, self.tokenizer, self.template, self.cfg, self.label = \
            model, tokenizer, template, cfg, label

    def replies(self, dialogues):
        """A greedy reply to each dialogue, in order."""
        prompts = [newest(encode_dialogue(self.tokenizer, self.template, d)[0], self.cfg.max_len,
                          self.template) for d in dialogues]
        order, texts = sorted(range(len(prompts)), key=lambda i: -len(prompts[i])), [""] * len(prompts)
        for start in tqdm(range(0, len(order), self.cfg.batch_size),
                          desc=self.label, unit="batch", mininterval=1):
            rows = order[start:start + self.cfg.batch_size]
            new = generate(self.model, [prompts[i] for i in rows], self.cfg.max_new_tokens,
                           eos_id=self.template.end_id(self.tokenizer))
            for i, ids in zip(rows, new):
                texts[i] = self.tokenizer.decode(ids).strip()
        return texts

    @torch.no_grad()
    def logp(self, dialogues):
        """log p of the last assistant message of each dialogue, its end token included."""
        examples = []
        for dialogue in dialogues:
            ids, answer = encode_dialogue(self.tokenizer, self.template, dialogue)
            said = answer[::-1].index(False) if False in answer else len(ids)      # tokens of the last answer
            ids = newest(ids, self.cfg.max_len, self.template)
            examples.append(Example(ids, [0 < i >= len(ids) - said for i in range(len(ids))], {}))
        totals = []
        for part in tqdm(list(micro_batches(examples, self.cfg.micro_batch_tokens, lambda e: len(e.ids))),
                         desc=self.label, unit="batch"):
            logp_M, _ = self.model.score(pack(part, self.model.device))
            totals += [share.sum().item()
                       for share in logp_M.split([sum(example.answer) for example in part])]
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
            dialogues.append(question + [{"role": "assistant",
                                          "content": form.format(text=text, letter=letter)}])
            sizes.append(len(dialogues[-1][-1]["content"].encode()))
    logps = iter(logp / size for logp, size in zip(speaker.logp(dialogues), sizes))
    return [{"text": text, "logp": {letter: next(logps) for letter in record["meta"]["options"]}}
            for text, record in zip(written, records)]


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
        metrics[name] = (rows[:, i].sum() / turns.sum(),
                         *bootstrap(lambda total, count: total.sum() / count.sum(), rows[:, i], turns))
    texts = [text for pairs in per_record for text, _ in pairs]
    return metrics | {f"distinct-{n}": (distinct(texts, n),) for n in (1, 2)}


def measure_exam(records, answers):
    best = [max(answer["logp"], key=answer["logp"].get) for answer in answers]
    parsed = [match[1] if (match := EXAM_LETTER.search(answer["text"])) else None for answer in answers]
    gold = [record["meta"]["answer"] for record in records]
    metrics = proportions("accuracy", [a == b for a, b in zip(best, gold)],
                          [record["meta"].get("category") or "all" for record in records])
    metrics["accuracy, written and parsed"] = proportion([a == b for a, b in zip(parsed, gold)])
    return metrics | {"unparsed": proportion([letter is None for letter in parsed])}


def measure_diagnosis(records, answers):
    def name(text):
        return DIAGNOSIS_CUE.sub("", text.strip()).strip(" .。").lower()
    right = [name(answer) in {name(label) for label in (record["meta"]["label"],
                                                        *record["meta"].get("aliases", ()))}
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
        metrics |= {f"- {group} ({len(values)})": proportion(values)
                    for group, values in sorted(members.items())}
    return metrics


def facts_f1(judge, records, answers):
    """A row: mean F1 of the facts in each model's answers, over the questions that the graph knows."""
    known = [r for r, record in enumerate(records) if judge(record, "", "") is not None]
    cells = {}
    for name, texts in answers.items() if known else ():
        f1 = [judge.score(records[r]["meta"]["head"], records[r]["meta"]["relation"], texts[r])
              for r in known]
        cells[name] = mean_cell(np.maximum(f1, 0))
    return {"task": "qa", "metric": "F1 of facts", "models": cells} if known else None


@torch.no_grad()
def reward_scores(reward, records, answers, max_len):
    """{(record id, answer): score} by a reward model as run.load_reward gives it."""
    model, name, head, tokenizer, template = reward
    scores = {}
    for texts in answers.values():
        for record, text in zip(records, texts):
            dialogue = record["messages"][:-1] + [{"role": "assistant", "content": text}]
            ids = newest(encode_dialogue(tokenizer, template, dialogue)[0], max_len, template)
            batch = pack([Example(ids, [False] * len(ids), record)], model.device)
            with adapter(model, name):
                scores[record["id"], text] = last_token_score(model, head, batch).item()
    return scores


def judge_qa(records, answers, graph, reward, max_len):
    """Rows of pairwise verdicts: by facts (by the reference answer, if no graph is given) and by the reward
    model, if there is one."""
    rows, judges = [], {"facts": GraphJudge(graph)} if graph is not None else {"reference": ReferenceJudge()}
    if "facts" in judges and (row := facts_f1(judges["facts"], records, answers)):
        rows.append(row)
    if reward:
        scores = reward_scores(reward, records, answers, max_len)
        judges["reward"] = ScoreJudge(scores)
        cells = {name: mean_cell([scores[record["id"], text] for record, text in zip(records, texts)])
                 for name, texts in answers.items()}
        rows.append({"task": "qa", "metric": "reward", "models": cells})
    for (by, judge), opponent in itertools.product(judges.items(), answers if len(answers) > 1 else ()):
        verdicts = {name: judge_pairs(judge, records, texts, answers[opponent])
                    for name, texts in answers.items() if name != opponent}
        counts = {name: {"value": f"{v['win']} / {v['tie']} / {v['lose']}"} for name, v in verdicts.items()}
        rates = {name: cell(v["win_rate"], v["low"], v["high"]) for name, v in verdicts.items()}
        task = f"qa judged by {by}"
        rows += [{"task": task, "metric": f"win / tie / lose against {opponent}", "models": counts},
                 {"task": task, "metric": f"win rate against {opponent}", "models": rates}]
    return rows


def cell(value, low=None, high=None):
    numbers = {"value": round(float(value), 4)}
    return numbers if low is None else numbers | {"low": round(float(low), 4), "high": round(float(high), 4)}


def mean_cell(values):
    values = np.asarray(values, dtype=float)
    return cell(values.mean(), *bootstrap(np.mean, values))


ANSWER = {"dialogue": answer_dialogue, "exam": answer_exam, "diagnosis": answer_last, "qa": answer_last}
MEASURE = {"dialogue": measure_dialogue, "exam": measure_exam, "diagnosis": measure_diagnosis,
           "qa": measure_qa}
