"""
Knowledge graphs of public releases -> graph.tsv, see knowledge_graph.py.  (Not here: what a release means.)

A converter's convert(release, facts) hands over heads, relations and tails; `facts` takes what a question
can be made of and counts what it refuses: cut names, sentences, empty words.  Relations have the names of
the paper's nine where they mean the same, else plain English ones.
"""
import argparse
import re
from collections import Counter
from pathlib import Path

from data.releases import check_there, report_errors, write_files

MAX_CHARS, MAX_PHRASE = 40, 12                       # longer ones are texts
NAME = re.compile("[\u4e00-\u9fff]|[A-Za-z]{3}")
EMPTY = re.compile("暂无.*|不详|未知|其[他它]|无|无(特[定殊发]|定)的?人群")
SENTENCE = re.compile("[。；？！]|，.*，")
TALK = re.compile("为主|一般|如果|可以|可行|可用|可选|可采|也可|必要时|根据|依据|需要|不需|无需|^如")


def tidy(name):
    return " ".join(name.split()).strip("，,、；;：:。 ")


class Facts:
    """The facts of one graph in the order they came, and the count of those refused, by reason."""

    def __init__(self):
        self.lines, self.relations, self.dropped = {}, Counter(), Counter()

    def add(self, head, head_type, relation, tails, tail_type, phrases=False):
        """phrases: the tails are parts of a text, some of them no names, and have to be short."""
        head = tidy(head)
        for tail in map(tidy, tails):
            reason = refused(head) or refused(tail, phrases) or (head == tail and "the head itself")
            line = "\t".join((head, head_type, relation, tail, tail_type)) + "\n"
            if reason or line in self.lines:
                self.dropped[reason or "repeated"] += 1
            else:
                self.lines[line] = None
                self.relations[relation] += 1


def phrases(text):
    """The parts of a text that lists things, by numbers or marks."""
    return filter(None, re.split(r"\d*[，,、；;\s]\s*", text))


def refused(name, phrase=False):
    """Why this is no name, or nothing."""
    if name.endswith(("...", "…")):
        return "cut short"
    if not NAME.search(name) or EMPTY.fullmatch(name):
        return "no name"
    text = SENTENCE.search(name) or len(name) > MAX_CHARS
    return "a text" if text or phrase and (TALK.search(name) or len(name) > MAX_PHRASE) else ""


def command(source, convert, argv=None):
    """The command line of a converter."""
    parser = argparse.ArgumentParser(prog=f"python -m data.prepare_{source}", description=convert.__doc__)
    parser.add_argument("release", type=Path, help="the folder of the release, or its only file")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write graph.tsv to")
    args = parser.parse_args(argv)

    def convert_and_write():
        check_there(args.release)
        facts = Facts()
        convert(args.release, facts)
        if not facts.lines:
            raise ValueError(f"{args.release}: no fact in it ({dict(facts.dropped) or 'no file was read'}); "
                             "see the head of the converter")
        write_files(args.out, {"graph.tsv": "".join(facts.lines)})
        total, dropped = len(facts.lines), facts.dropped.total()
        relations = ", ".join(f"{relation} {count}" for relation, count in facts.relations.most_common())
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(facts.dropped.items())) or "none"
        return f"{source}: in {total + dropped}, out {total} ({relations}), dropped {dropped} ({reasons})"

    report_errors(convert_and_write)
