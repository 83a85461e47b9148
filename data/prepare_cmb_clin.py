"""CMB-Clin, textbook cases with questions of an examiner and their answers: CMB-Clin-qa.json of
github.com/FreedomIntelligence/CMB, a JSON list of {"id", "title", "description", "QA_pairs": [{"question",
"answer"}, ...]}.

A case is one dialogue: its text and the first question, the answer, the second question...  A later question
leans on what was answered before ("and its differential diagnosis?"), and the benchmark asks them by turns,
so QA records, which would hide the earlier answers, do not fit; nor does diagnosis, which has one label.
"""
import re

from data.dialogue import add_dialogue
from data.releases import command, field, only_file, read_records


def lines(text):
    """Without the indents of the book, and without empty lines."""
    return re.sub(r"\s*\n\s*", "\n", text)


def convert(release, sets):
    """Make dialogue records of CMB-Clin."""
    for place, record in read_records(only_file(release, "CMB-Clin-qa.json")):
        turns = []
        for pair in field(record, place, "QA_pairs", list):
            if not isinstance(pair, dict):
                raise ValueError(f"{place}: 'QA_pairs' should be objects; repair the record")
            turns += [("user", lines(field(pair, place, "question"))),
                      ("assistant", lines(field(pair, place, "answer")))]
        add_dialogue(sets, None, turns, lines(field(record, place, "description")), task="dialogue",
                     id=field(record, place, "id"), title=field(record, place, "title"))


if __name__ == "__main__":
    command("cmb_clin", convert, max_chars=3000)
