"""
What an evaluation shows besides its numbers: where models differ, what they take for what, every answer.
(Not here: the page, see report.py.)
"""
from clinicalgpt import diagnosis, exam
from clinicalgpt.answers import Failure
from clinicalgpt.evaluation.scores import choices_of, text_of
from clinicalgpt.evaluation.tasks import doctor_turns
from clinicalgpt.metrics import rouge_rows
from clinicalgpt.statistics import over_seeds

SHOWN = {"safety": 4, "dialogue": 3, "exam": 4, "diagnosis": 4, "qa": 6, "rubric": 3}
TRAININGS = ["task", "metric", "model", "trainings", "mean", "deviation over them", "error over records"]
POINTS = {"win": 1, "lose": -1}


def differing(records, answers, judgements, last_turn=False):
    """Samples for the report: of each task the records on which the models' answers differ most in worth."""
    return [sample for task, of in records.items() for sample in
            most_different([*candidates(task, of, {name: a[task] for name, a in answers.items()}, judgements,
                                        last_turn)], SHOWN[task], task)]


def most_different(found, count, task):
    found.sort(key=lambda item: min(item["worth"].values()) - max(item["worth"].values()))
    return [{"question": f"{task}: {item['question']}",
             "answers": {name + item["said"].get(name, ""): shown(text)
                         for name, text in item["texts"].items()}
             | ({"reference": item["reference"]} if item["reference"] else {})} for item in found[:count]]


def shown(answer, most=2000):
    text = f"(no answer: {answer.reason})" if isinstance(answer, Failure) else str(answer)
    return text if len(text) <= most else f"{text[:most]} ... ({len(text):,} characters)"


def candidates(task, records, answers, judgements, last_turn):
    """{"question", "texts": {model: answer}, "worth": {model: number}, "said": {model: what it is worth},
    "reference"} of each record, or turn."""
    if task == "dialogue":
        turns = doctor_turns(records, last_turn)
        flat = {name: [reply for of in said for reply in of] for name, said in answers.items()}
        rouge = {name: rouge_rows(list(map(text_of, said)), [reference for _, _, reference in turns])[:, 2]
                 for name, said in flat.items()}
        for i, (_, history, reference) in enumerate(turns):
            worth = {name: float(values[i]) for name, values in rouge.items()}
            yield {"question": history[-1]["content"], "reference": reference, "worth": worth,
                   "texts": {name: said[i] for name, said in flat.items()},
                   "said": {name: f", ROUGE-L {value:.2f}" for name, value in worth.items()}}
        return
    points = {}
    first = judgements[0]["judge"] if judgements else None
    for line in judgements:
        if line["judge"] == first and "outcome" in line:
            value = POINTS.get(line["outcome"], 0)
            for model, sign in ((line["model_a"], value), (line["model_b"], -value)):
                points[line["id"], model] = points.get((line["id"], model), 0) + sign
    for i, record in enumerate(records):
        if "rotation" in record["meta"]:
            continue
        said = {name: of[i]["text"] if task == "exam" else of[i] for name, of in answers.items()}
        if task == "exam":
            marks = {name: of_exam(record, of[i]) for name, of in answers.items()}
        elif task == "diagnosis":
            marks = {name: diagnosis.outcome(text_of(text), record) for name, text in said.items()}
        else:
            marks = {}
        worth = {name: float(marks[name].count("right")) if marks else points.get((record["id"], name), 0)
                 for name in said}
        last = record["messages"][-1]
        yield {"question": record["messages"][-2 if last["role"] == "assistant" else -1]["content"],
               "texts": said, "worth": worth, "said": {name: f": {mark}" for name, mark in marks.items()},
               "reference": last["content"] if last["role"] == "assistant" else ""}


def of_exam(record, answer):
    """Whether it is right as written, and by the likeliest option."""
    choices = choices_of([record], [answer], "written")
    choices += choices_of([record], [answer], "option text by bytes") or []
    marks = ["right" if exam.is_right(choice, record["meta"]["answer"]) else
             "unparsed" if choice is None else "wrong" for choice in choices]
    return " as written, ".join(marks) + (" by log p" if len(marks) > 1 else " as written")


def answer_lines(records, answers):
    """The lines of answers.jsonl, which can be evaluated again."""
    for name, of_tasks in answers.items():
        for task, said in of_tasks.items():
            for record, answer in zip(records[task], said):
                if answer is None:
                    continue
                replies = replies_of(answer)
                texts = [None if isinstance(reply, Failure) else str(reply) for reply in replies]
                ends = [getattr(reply, "finish", "") for reply in replies]
                lost = [reply.reason for reply in replies if isinstance(reply, Failure)]
                if not isinstance(answer, list):
                    (text,), (ends,) = texts, ends
                    texts = answer | {"text": text} if isinstance(answer, dict) else text
                yield {"task": task, "id": record["id"], "model": name, "answer": texts, "finish": ends,
                       **({"failure": lost[0]} if lost else {})}


def replies_of(answer):
    """The replies in an answer as tasks.py gives it."""
    if answer is None:
        return []
    return answer if isinstance(answer, list) else [answer["text"] if isinstance(answer, dict) else answer]


def confusions(records, answers):
    """{heading: rows of texts}: groups of the records down, those of each model's answers across."""
    tables = {}
    for model, of in answers.items() if "diagnosis" in records else ():
        counts = diagnosis.confusion(records["diagnosis"], [*map(text_of, of["diagnosis"])])
        columns = sorted({name for row in counts.values() for name in row} | set(counts))
        tables[f"Diagnoses of {model}"] = [
            ["group, and taken for", *columns],
            *([group, *(str(row.get(name, "")) for name in columns)] for group, row in counts.items())]
    return tables


def over_trainings(task, measured, rows):
    """Models called x@1, x@2 ... are trainings of one x.  The spread over them and, of a metric that is a
    mean over records, the one over records, apart."""
    kinds = {}
    for name in measured:
        kinds.setdefault(name.partition("@")[0], []).append(name)
    for row in rows:
        for kind, names in kinds.items():
            if len(names) > 1 and row["main"] and set(names) <= set(row["models"]):
                tables = [measured[name][row["metric"]].table for name in names]
                if all(table.shape[1] == 2 and set(table[:, 1]) <= {0, 1}
                       and (table[:, 1] == tables[0][:, 1]).all() for table in tables):
                    values = [table[table[:, 1] > 0, 0] for table in tables]
                else:
                    values = [[row["models"][name]["value"]] for name in names]
                numbers = ("–" if x is None else f"{x:.3f}" for x in over_seeds(values))
                yield [task, row["metric"], kind, len(names), *numbers]
