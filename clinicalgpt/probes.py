"""
What accuracy on held-out pairs does not show: does the reward fall when a good answer is made worse?
(Not here: the reward; see roles.py, whose whole sum of parts is probed before PPO may follow it.)

A probe takes a good answer, the best of a ranked list, and makes one that no reader would prefer:

    empty         no word at all
    copied        the question, given back
    evasive       a stock sentence that sends everybody to a doctor
    padded        the good answer, and then three sentences that say nothing
    repeated      the good answer, its last statement said four times more
    negated       the good answer with "not" put in or taken out
    dose          the good answer with its quantities ten times as large
    other         what is right of another disease, said of this one (or, without a graph's names, the answer
                  to another question)

It passes if the good answers score above the worse ones in significantly more than half of the cases: PPO
climbs whatever the reward likes, so what a probe finds it will find too (Gao 2023; on length, Singhal 2023).
"""

import re

import numpy as np

from clinicalgpt.statistics import wilson

CHINESE = re.compile("[\u4e00-\u9fff]")
EVASIVE = {"zh": "您好，这个要看具体情况，建议您尽早去医院就诊。", "en": "That depends; please see a doctor."}
PADDING = {"zh": "感谢您的提问。健康对每个人都很重要，希望以上内容对您有所帮助。祝您生活愉快，万事如意。",
           "en": " Thank you for asking. Health matters to everyone, and I hope this helps. Have a nice day."}
DENIED = {"zh": [("没有", "有"), ("不", ""), ("无", "有"), ("有", "没有"), ("可", "不可"), ("是", "不是"),
                 ("会", "不会"), ("包括", "不包括"), ("需要", "不需要"), ("应", "不应"), ("能", "不能"),
                 ("需", "无需"), ("要", "不要")],
          "en": [(" not ", " "), (" no ", " "), (" never ", " "), (" is ", " is not "),
                 (" are ", " are not "), (" can ", " cannot "), (" may ", " may not "), (" should ", " should not "),
                 (" includes ", " does not include "), (" include ", " do not include "),
                 (" has ", " has no "), (" have ", " have no ")]}
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(?=\s*(?:mg|g|kg|ml|毫克|克|毫升|片|粒|支|次|滴|日|天|周|小时"
                      r"|times|tablets|days|hours|weeks|drops))", re.I)


def negated(answer, language):
    """One denial more or less: at the first word that can carry it."""
    for word, turned in DENIED[language]:
        if word in answer:
            return answer.replace(word, turned, 1)
    return None


def last_statement(answer):
    parts = [part for part in re.split(r"(?<=[。！？；;!?])|(?<=\.)\s", answer) if part and part.strip()]
    return parts[-1] if parts else answer


def of_another(record, others):
    """The best answer to another question; where names of diseases are known, of another disease, the name
    replaced."""
    asked = record.get("meta", {})
    for other in others:
        meta, answer = other.get("meta", {}), best_of(other)
        if "head" not in asked:
            if answer != best_of(record):
                return answer
        elif (meta.get("relation") == asked.get("relation") and meta.get("head", asked["head"]) in answer
              and not set(meta.get("tails", ())) & set(asked.get("tails", ()))):
            return answer.replace(meta.get("head", asked["head"]), asked["head"])
    return None


def best_of(record):
    return (record["answers"] if "answers" in record else [record["chosen"]])[0]


def worse_answers(record, others):
    """{probe: worse answer} of a preference record; a probe that does not apply is absent."""
    answer, question = best_of(record), record["messages"][-1]["content"]
    language = "zh" if CHINESE.search(question + answer) else "en"
    worse = {"empty": "", "copied": question, "evasive": EVASIVE[language],
             "padded": answer + PADDING[language], "repeated": answer + 4 * last_statement(answer),
             "negated": negated(answer, language), "other": of_another(record, others),
             "dose": QUANTITY.sub(lambda match: f"{10 * float(match[1]):g}", answer)}
    return {name: text for name, text in worse.items() if text is not None and text != answer}


def make_probes(records, count=100, seed=0):
    """[{"probe", "messages", "meta", "good", "worse"}, ...]: up to `count` of each kind."""
    order, made, probes = np.random.default_rng(seed).permutation(len(records)), {}, []
    for i in order.tolist():
        others = (records[j] for j in np.roll(order, 1 + i).tolist() if j != i)
        for name, worse in worse_answers(records[i], others).items():
            if made.get(name, 0) < count:
                made[name] = made.get(name, 0) + 1
                probes.append({"probe": name, "messages": records[i]["messages"], "good": best_of(records[i]),
                               "worse": worse, "meta": records[i].get("meta", {})})
    return sorted(probes, key=lambda probe: probe["probe"])


def verdicts(probes, scores):
    """{probe: {"right", "low", "high", "count", "passed"}} of (score of the good answer, of the worse) for
    each probe; ties count a half, the interval is Wilson's."""
    table = {}
    for name in dict.fromkeys(probe["probe"] for probe in probes):
        points = [(good > worse) + 0.5 * (good == worse)
                  for probe, (good, worse) in zip(probes, scores, strict=True) if probe["probe"] == name]
        low, high = wilson(sum(points), len(points))
        table[name] = {"right": sum(points) / len(points), "low": low, "high": high, "count": len(points),
                       "passed": low > 0.5}
    return table


def lines_of(table):
    """The table as text, a probe a line."""
    return [f"probe {name:9} {'passed' if row['passed'] else 'FAILED'}: the good answer scores higher in "
            f"{row['right']:.2f} [{row['low']:.2f}, {row['high']:.2f}] of {row['count']}"
            for name, row in table.items()]
