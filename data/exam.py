"""How an examination question is written, of whatever release: options a line each; 答案：<text>（<letter>）.

The text of the option comes before its letter, so that the letter follows from what the text says.
A question without a Chinese character is English: Answer: <text> (<letter>).  Several right answers stand one
after the other.  clinicalgpt/exam.py has these forms, and reads them.
"""
import re

from clinicalgpt.exam import reference
from data.releases import clean, digest, field, read_records

LETTERS = "ABCD"                                     # the columns of a question with four options


def add_exam(sets, split, place, question, options, answer, category=""):
    """options: {letter: text}; answer: a letter, or several, in any order."""
    if answer in ("", "nan"):                        # CMExam has one: its table went through pandas
        sets.drop("no answer")
    elif any(letter not in options for letter in answer):
        raise ValueError(f"{place}: '{answer}' is not in options {''.join(options)}; repair the record")
    elif not question or not all(options.values()):
        sets.drop("empty")
    else:
        asked = "\n".join([question, *(f"{letter}. {text}" for letter, text in options.items())])
        answer = "".join(sorted(set(answer)))
        solution = reference(options, answer, re.search("[\u4e00-\u9fff]", asked))
        sets.add_task(split, "exam", digest(asked)[:16], [asked, solution], options=options, answer=answer,
                      category=category or sets.source)


def add_exam_table(sets, split, path, category, question="question", answer="answer"):
    """A table with the columns <question>, A, B, C, D and, but for tests that keep it secret, <answer>."""
    for place, record in read_records(path):
        options = {letter: field(record, place, letter) for letter in LETTERS}
        known = field(record, place, answer) if split != "test" or answer in record else ""
        add_exam(sets, split, place, field(record, place, question), options, known, category)


def read_options(record, place):
    """The options of a record that holds them as {letter: text}."""
    options = field(record, place, "options", dict)
    for letter, text in options.items():
        if not re.fullmatch("[A-Z]", letter) or not isinstance(text, str | int | float):
            raise ValueError(f"{place}: option {letter!r} is no letter with a text; repair the record")
    return {letter: clean(str(text)) for letter, text in options.items()}
