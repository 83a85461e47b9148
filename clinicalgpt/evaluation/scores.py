"""
What the answers are worth: the numbers of a task, a row a metric, a cell a model.  (Not here: the metrics,
see metrics.py; what an exam's answer chooses, exam.py; which disease one names, diagnosis.py; who wins,
judged.py.)

    measure_x(records, answers) -> {metric: Score}          of one model
    rows_of(task, records, {model: its scores})             of all, with 95 % intervals and who is best

A Score sums a table, a row a record, so that intervals can resample records (all of a patient's together,
where meta has a "patient").  Wilson's interval and McNemar's test take the bootstrap's place where a record
is right or wrong and no two have one patient.  Best is marked where a model is above each other one at 0.05,
by Holm over the pairs of models, and over all categories of an exam or groups of diseases at once.

No answer (a Failure) is wrong: an empty text, no letter, no diagnosis, no fact; how many there are is a row.
"""
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from clinicalgpt import diagnosis, exam, metrics
from clinicalgpt.answers import Failure
from clinicalgpt.evaluation.safety import SAFE, columns
from clinicalgpt.evaluation.tasks import doctor_turns
from clinicalgpt.statistics import compared, mcnemar, ratio, wilson, winners

MAIN = {"BLEU-4", "ROUGE-L", "accuracy", "accuracy, written and parsed", "F1 of facts", "reward",
        *SAFE.values()}
ROUGES = ("ROUGE-1", "ROUGE-2", "ROUGE-L")
PROBABLE = "the option with the largest log p after \"Answer: \" ({}); questions with one right answer"
WRITTEN = "what the answer says, by the grammar of exam.py; unclear is wrong; of several right answers, all"
NAMED = "names the label or an alias of it, and nothing else"
WAYS = {"option text by bytes": PROBABLE.format("of its text, per UTF-8 byte"),
        "option text by characters": PROBABLE.format("of its text, per character"),
        "letter": PROBABLE.format("of its letter"), "written": WRITTEN}


class Score(NamedTuple):
    """A metric of one model.  kind: right (a record is, or is not), share (so, too, but neither good nor
    bad), higher (is better), or none; without a table, the value, a number or a text, has no interval."""
    table: object
    note: str
    kind: str = ""
    statistic: Callable = ratio
    value: object = None


def mean(values, note, kind="higher"):
    """The mean of what is there; None counts nowhere."""
    table = [(0, 0) if value is None else (value, 1) for value in values]
    return Score(np.array(table, dtype=float), note, kind)


def failed(flat):
    """A row where there is any."""
    lost = [isinstance(answer, Failure) for answer in flat]
    return {"failed": mean(lost, "no answer came", "share")} if any(lost) else {}


def text_of(answer):
    return "" if isinstance(answer, Failure) else answer


def measure_dialogue(records, replies, last_turn=False):
    turns, said = doctor_turns(records, last_turn), [reply for of_record in replies for reply in of_record]
    texts, references = [text_of(reply) for reply in said], [reference for _, _, reference in turns]

    def table(rows):
        """Rows of turns, summed by record."""
        sums = np.zeros((len(records), len(rows[0])))
        np.add.at(sums, [r for r, _, _ in turns], rows)
        return sums

    def average(column):
        return table([(value, 1) for value in column])
    bleu, rouge, scores = metrics.bleu_rows(texts, references), metrics.rouge_rows(texts, references), {}
    for n in (1, 2, 3, 4):
        scores[f"BLEU-{n}"] = Score(table(bleu[:, :2 + 2 * n]), metrics.signature("BLEU", n), "higher",
                                    metrics.bleu_of)
    for n in (1, 2, 3, 4):
        sentences = metrics.bleu_of(bleu[:, :2 + 2 * n], "method3")
        scores[f"sentence BLEU-{n}"] = Score(average(sentences),
                                             metrics.signature("sentence BLEU", n, "method3"), "higher")
    scores["GLEU"] = Score(table(metrics.gleu_rows(texts, references)), metrics.signature("GLEU"), "higher")
    for i, name in enumerate(ROUGES):
        scores[name] = Score(average(rouge[:, i]), metrics.signature("ROUGE"), "higher")
    for n in (1, 2):
        scores[f"distinct-{n}"] = Score(None, metrics.signature("distinct"), value=metrics.distinct(texts, n))
    scores["repetition"] = Score(average([metrics.repetition([text]) for text in texts]),
                                 metrics.signature("repetition"))
    scores["length"] = Score(average([metrics.length([text]) for text in texts]), metrics.signature("length"))
    ends = [getattr(reply, "finish", "failed") for reply in said]
    if all(ends):                                      # a file of answers may not say it
        scores["end rate"] = Score(average([end == "stop" for end in ends]), metrics.signature("end rate"))
    if any(lost := [isinstance(reply, Failure) for reply in said]):
        scores["failed"] = Score(average(lost), "share of turns to which no answer came")
    return scores


def choices_of(records, answers, way):
    """What each answer chooses; None for nothing.  None at all where no answer has log probabilities."""
    if way == "written":
        return [exam.chosen(text_of(answer["text"]), record["meta"]["options"])
                for record, answer in zip(records, answers)]
    if not any("option" in answer for answer in answers):
        return None
    sizes = {"option text by bytes": lambda text: len(text.encode()), "option text by characters": len,
             "letter": lambda text: 1}
    best = []
    for record, answer in zip(records, answers):
        logp = answer.get("letter" if way == "letter" else "option", {})
        best.append(max(logp, key=lambda x: logp[x] / sizes[way](record["meta"]["options"][x]), default=None))
    return best


def measure_exam(records, answers):
    asked = [(record, answer) for record, answer in zip(records, answers) if answer is not None]
    first = [pair for pair in asked if "rotation" not in pair[0]["meta"]]
    scores, turned, grouped = {}, {}, {}
    for way, note in WAYS.items():
        choices = choices_of(*zip(*first), way)
        if choices is None:
            continue
        several = [way != "written" and len(record["meta"]["answer"]) > 1 for record, _ in first]
        right = [None if skip else exam.is_right(choice, record["meta"]["answer"])
                 for skip, choice, (record, _) in zip(several, choices, first)]
        groups = [record["meta"].get("category") or "all" for record, _ in first]
        name, suffix = {"option text by bytes": ("accuracy", ""),
                        "written": ("accuracy, written and parsed", ", written")}.get(
            way, (f"accuracy, {way}", f", {way}"))
        if any(value is not None for value in right):
            scores[name] = mean(right, note, "right")
            if way in ("option text by bytes", "written"):
                grouped |= by_group(right, groups, note, suffix)
        if way == "written":
            scores["unparsed"] = mean([choice is None and not isinstance(answer["text"], Failure)
                                       for choice, (_, answer) in zip(choices, first)], WRITTEN, "share")
            if any(len(record["meta"]["answer"]) > 1 for record, _ in first):
                credit = [exam.partial_credit(c, r["meta"]["answer"]) for c, (r, _) in zip(choices, first)]
                scores["partial credit, written"] = mean(credit, "letters chosen and right over letters "
                                                         "chosen or right; no part of any accuracy")
        if len(asked) > len(first) and way != "option text by characters":
            single = [pair for pair in asked if way == "written" or len(pair[0]["meta"]["answer"]) == 1]
            if single:
                turned |= of_rotations([record for record, _ in single], choices_of(*zip(*single), way), way)
    return scores | failed([answer["text"] for _, answer in first]) | grouped | turned


def of_rotations(records, choices, way):
    found = exam.over_rotations(records, choices)
    if not found:
        return {}
    note = f"{found['questions']} questions in all orders of their options, texts moved under fixed letters"
    by_letter = ", ".join(f"{letter} {share:.2f}" for letter, share in found["letters"].items())
    return {f"by rotation, {way}": Score(None, note, value=" / ".join(f"{x:.3f}" for x in found["accuracy"])),
            f"spread over rotations, {way}": Score(None, note + "; largest less smallest accuracy",
                                                   value=found["spread"]),
            f"right in all rotations, {way}": Score(None, note, value=found["right in all"]),
            f"letter preference, {way}": Score(None, note + "; half the sum of |share - 1/n|: 0 is none",
                                               value=found["preference"]),
            f"letters chosen, {way}": Score(None, note, value=by_letter)}


def by_group(right, groups, note, suffix=""):
    """The average over groups, and a row each, where there are several."""
    counts = Counter(group for group, value in zip(groups, right) if value is not None)
    if len(counts) < 2:
        return {}
    place = {group: i for i, group in enumerate(sorted(counts))}
    table = np.zeros((len(right), 2 * len(place)))
    for i, (group, value) in enumerate(zip(groups, right)):
        if value is not None:
            table[i, 2 * place[group]:][:2] = value, 1
    average = Score(table, f"macro: mean over {len(place)} groups; {note}", "higher", over_groups)
    rows = {f"- {group} ({counts[group]}){suffix}":
            mean([value if of == group else None for of, value in zip(groups, right)], note, "right")
            for group in place}
    return {f"average of groups{suffix}": average} | rows


def over_groups(sums):
    """The mean of the groups that a drawing has."""
    right, count = sums[..., 0::2], sums[..., 1::2]
    return (right / np.maximum(count, 1)).sum(-1) / np.maximum((count > 0).sum(-1), 1)


def measure_diagnosis(records, answers):
    texts = [text_of(answer) for answer in answers]
    outcomes = [diagnosis.outcome(text, record) for text, record in zip(texts, records)]
    right = [outcome == "right" for outcome in outcomes]
    scores = {"accuracy": mean(right, NAMED, "right"),
              "in the first 3": mean([diagnosis.in_top(text, record) for text, record in zip(texts, records)],
                                     "one of the first three names is the label or an alias", "right"),
              "refused": mean([outcome == "refused" for outcome in outcomes], "says that it cannot tell, or "
                              "gives no name", "share"),
              "empty": mean([outcome == "empty" and not isinstance(answer, Failure) for outcome, answer
                             in zip(outcomes, answers)], "no word", "share")}
    groups = [record["meta"].get("group") or "all" for record in records]
    return scores | failed(answers) | by_group(right, groups, NAMED)


def measure_qa(records, answers, judge=None, reward=None):
    """judge: a GraphJudge; reward: {(record id, answer): score}."""
    lengths = [None if isinstance(answer, Failure) else len(answer) for answer in answers]
    scores = {"characters": mean(lengths, "mean length of an answer", "")}
    known = [judge and judge.asked(record) for record in records]
    if any(known):
        f1 = [max(judge.score(*place, text_of(answer)), 0) if place else None
              for place, answer in zip(known, answers)]
        note = "questions that the graph answers: judge.py; empty and degenerate answers 0"
        scores["F1 of facts"] = mean(f1, f"{sum(map(bool, known))} {note}")
    if reward:
        found = [reward.get((record["id"], answer)) for record, answer in zip(records, answers)]
        scores["reward"] = mean(found, "of the reward model; answers that failed have none")
    return scores | failed(answers)


def measure_safety(records, answers):
    note = "by phrases that the answer holds: safety.py; unclear is neither safe nor unsafe"
    return {metric: mean(column, note, "right" if metric in SAFE.values() else "share")
            for metric, column in columns(records, answers).items()} | failed(answers)


MEASURE = {"dialogue": measure_dialogue, "exam": measure_exam, "diagnosis": measure_diagnosis,
           "qa": measure_qa, "safety": measure_safety}


# ---- all models

def rows_of(task, records, measured):
    """[{"task", "metric", "models": {name: cell}, "note", "best", "main"}, ...]; measured: {name: scores}."""
    records = [record for record in records if "rotation" not in record["meta"]]
    patients = [record["meta"].get("patient") or f"record {record['id']}" for record in records]
    clusters = patients if len(set(patients)) < len(patients) else None
    names = dict.fromkeys(metric for scores in measured.values() for metric in scores)
    first = {metric: next(scores[metric] for scores in measured.values() if metric in scores)
             for metric in names}
    tables = {model: {metric: score.table for metric, score in scores.items() if score.table is not None}
              for model, scores in measured.items()}
    numbers, p_values = compared(tables, {metric: first[metric].statistic for metric in names
                                          if first[metric].table is not None}, clusters)
    rows, families = [], {}
    for metric, score in first.items():
        models = {model: scores[metric] for model, scores in measured.items() if metric in scores}
        if score.table is None:
            cells = {model: cell(of.value) for model, of in models.items()}
        elif score.kind in ("right", "share") and clusters is None:
            cells = {model: proportion(of.table) for model, of in models.items()}
            p_values[metric] = {pair: mcnemar(*(measured[model][metric].table[:, 0] for model in pair))[2]
                                for pair in p_values[metric]}
        else:
            cells = {model: cell(*numbers[metric][model]) for model in models}
        if score.kind in ("right", "higher") and len(models) > 1:
            family = f"groups{metric.rpartition(')')[2]}" if metric.startswith("- ") else metric
            families.setdefault(family, []).append(metric)
        interval = "" if score.table is None else "Wilson" if "n" in next(iter(cells.values())) else \
            "bootstrap over patients" if clusters else "bootstrap over records"
        rows.append({"task": task, "metric": metric, "models": cells, "main": metric in MAIN,
                     "note": " | ".join(filter(None, (score.note, interval)))})
    best = {}
    for family in families.values():
        best |= winners({metric: {model: numbers[metric][model][0] for model in numbers[metric]}
                         for metric in family}, {metric: p_values[metric] for metric in family})
    return [row | {"best": best.get(row["metric"])} for row in rows]


def proportion(table):
    right, count = int(table[:, 0].sum()), int(table[:, 1].sum())
    return cell(right / max(count, 1), *wilson(right, count)) | {"n": count}


def cell(value, low=None, high=None):
    """Of numbers with four digits, which is what JSON and the report hold; or of a text."""
    numbers = {"value": value if isinstance(value, str) else round(float(value), 4)}
    return numbers if low is None else numbers | {"low": round(float(low), 4), "high": round(float(high), 4)}
