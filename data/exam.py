"""How an examination question is written, of whatever release: options a line each; 答案：<text>（<letter>）.

The text of the option comes before its letter, so that the letter follows from what the text says.
"""
from data.releases import digest


def add_exam(sets, split, place, question, options, answer, category=""):
    """options: {letter: text}; answer: a letter, or several: such questions are counted and dropped."""
    if answer in ("", "nan"):                        # CMExam has one: its table went through pandas
        sets.drop("no answer")
    elif any(letter not in options for letter in answer):
        raise ValueError(f"{place}: '{answer}' is not in options {''.join(options)}; repair the record")
    elif len(answer) > 1:
        sets.drop("several answers")
    elif not question or not all(options.values()):
        sets.drop("empty")
    else:
        lines = [question, *(f"{letter}. {text}" for letter, text in options.items())]
        id, solution = digest(*lines)[:16], f"答案：{options[answer]}（{answer}）"
        category = category or sets.source
        sets.add_task(split, "exam", id, ["\n".join(lines), solution], options=options, answer=answer,
                      category=category)
