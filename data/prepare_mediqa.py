"""MEDIQA 2019 task 3, consumers' questions with answers from health sites, graded by hand:
github.com/abachaa/MEDIQA2019, MEDIQA2019-Task3-QA-TrainingSet1-LiveQAMed, -TrainingSet2-Alexa and
-ValidationSet.xml.  The official test set is not read.

<Question QID><QuestionText/> and <Answer ReferenceScore ReferenceRank SystemRank><AnswerText/>: the score is
4 excellent to 1 incorrect.  ReferenceRank orders answers of equal score by length alone, so it is not used,
and no two answers of one score are compared: the first of each score, by SystemRank, make the first list,
best to worst, the second of each the next, and so on.
"""
import re
from xml.etree import ElementTree

from data.releases import clean, command, find, read_text

FILES = {"train": ("TrainingSet1-LiveQAMed", "TrainingSet2-Alexa"), "valid": ("ValidationSet",)}
CREDIT = re.compile(r"\s*(Updated by: .*|NIH: [A-Z][^.]*|Centers for Disease Control and Prevention)\Z", re.S)


def questions(path):
    """(place, element) of each question."""
    text = read_text(path)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}:{error.position[0]}: not XML ({error}); download it again") from None
    starts = (match.start() for match in re.finditer("<Question[ >]", text))
    places = (f"{path}:{text.count(chr(10), 0, start) + 1}" for start in starts)
    return zip(places, root.iter("Question"), strict=False)


def read_answer(element, place):
    """(score, rank of the system, text)"""
    try:
        score, rank = int(element.get("ReferenceScore", "")), int(element.get("SystemRank", ""))
    except ValueError:
        raise ValueError(f"{place}: an answer lacks ReferenceScore or SystemRank; repair it") from None
    return score, rank, CREDIT.sub("", clean(element.findtext("AnswerText") or ""))


def convert(release, sets):
    """Make preferences of MEDIQA 2019, task 3."""
    for split, names in FILES.items():
        for path in (find(release, f"MEDIQA2019-Task3-QA-{name}.xml", required=False) for name in names):
            for place, element in questions(path) if path else ():
                question, by_score = clean(element.findtext("QuestionText") or ""), {}
                answers = [read_answer(answer, place) for answer in element.iter("Answer")]
                for score, _, text in sorted(answers, key=lambda answer: (-answer[0], answer[1])):
                    if text and not text.endswith(":") and len(question) + len(text) <= sets.max_chars:
                        by_score.setdefault(score, []).append(text)
                    else:
                        sets.cleaned[f"answers empty or over {sets.max_chars} characters"] += 1
                most = max(map(len, by_score.values()), default=0)
                rankings = [[texts[i] for texts in by_score.values() if i < len(texts)] for i in range(most)]
                rankings = [answers for answers in rankings if len(answers) > 1]
                for i, answers in enumerate(rankings):
                    sets.add_ranking(split, f"{path.stem.split('-')[3]}-{element.get('QID')}-{i}",
                                     [{"role": "user", "content": question}], answers)
                if not rankings:
                    sets.drop("all answers of one score")


if __name__ == "__main__":
    command("mediqa", convert, max_chars=4000)
