"""
Examinations: which options a written answer chooses, how that is scored, and what the order of options does.
(Not here: log-probabilities of options, see evaluation/tasks.py; how sure we are, statistics.py; files,
data/exam.py.)

An answer says "X" where X is a list of options, of one form:

    letters     B   (B)   【B】   A、C、E   A, C and E   ACE         ascending where they stand together
    labelled    B. aspirin   B：阿司匹林   B (aspirin)                the text has to be that of the letter
    texts       aspirin   阿司匹林（B）                               a letter after it has to be its own

    statement   a cue, then X, then the end of a clause: 答案：X   正确答案是X   故选X   The answer is X
    line        X and nothing else; for texts the whole answer; X as the first sentence of the answer

All statements and lines have to say the same, else the answer is unparsed (None), which counts as wrong.  So
are "A or B", what is taken back at once ("A. Wait, no."), a text that two options have, a letter with the
text of another, and a copy of the list of options.  A capital in a text (CT, DNA, vitamin B, E. coli) is no
letter.  Letters are capitals, full or half width.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from itertools import islice

ANSWER = {"zh": "答案：{text}（{letter}）", "en": "Answer: {text} ({letter})"}      # as data/exam.py does
CLASH = "?"                                            # in the place of letters: it contradicts itself

OPEN, CLOSE = r"(?:[(\[【<“\"'「]\s?)?", r"(?:\s?[)\]】>”\"'」])?"
LETTERS = re.compile(OPEN + r"([A-Z]+)" + CLOSE + r"(?:\s?选?项)?")
IN_BRACKETS = re.compile(r"[.。]?\s?[(\[]\s?([A-Z])\s?[)\]]")
LABEL_MARKS = re.compile(r"\s?[.、:,。-]?\s*"), re.compile(r"\s?[.、:,。-]?\s*\(")
SEPARATOR = re.compile(r" ?(?:[、,;&+]|和|及|与|以及|and\b)? ?(?:and\b )?")
BECAUSE = r"(?:因为|由于|理由|解析|原因|because\b|since\b|as it\b|explanation\b|reason\b|rationale\b)"
TAKEN_BACK = r"(?!\s*(?:(?:不对|不|错了?)[,。;!]|(?i:wait|no|sorry|correction|actually)[,.!:]))"
END = re.compile(rf"(?:\s?[)\]】”\"'」])*\s?(?:$|[\n。!;,]{TAKEN_BACK}"
                 rf"|\.(?=\s*$|\s*\n|\s?[^\W\da-z_]){TAKEN_BACK}|(?i:{BECAUSE}))")
SENTENCE = re.compile(rf"(?:\s?[)\]】”\"'」])*\s?(?:[.,!]?\s?$|[.,!]?\s?\n|。|[.,。:]?\s?(?i:{BECAUSE}))")
LINE_END = re.compile(r"(?:\s?[)\]】”\"'」])*\s?[.,。!;]?\s?(?:$|\n)")
WHOLE = re.compile(r"(?:\s?[)\]】”\"'」])*\s?(?:is correct|is right|正确|是正确的|是对的)?[.,。!;、]?\s*$")

CHINESE_CUE = (
    r"(?:答案[】\])]?\s?(?:应该是|应当是|应该为|应当为|应是|应为|应选择?|就是|是|为|选择?|:)"
    r"|(?:正确|最佳|最合适|最恰当|符合题意)的?选项\s?(?:应该是|应是|应为|是|为|:)"
    r"|(?:^|[。,;:\n]|故应?|应该?|因此|所以|本题|我|可|宜|则|即|最佳|答案】)\s?选择?)\s?:?\s?"
    r"(?:应?选(?:择|项)?|项)?\s?")
ENGLISH_CUE = (
    r"(?:\b(?:answers?|(?:correct|best|right|most likely|most appropriate) (?:option|choice|response))"
    r"(?: (?:here|choice|option|to (?:this|the) question))?"
    r"\s?(?:is|are|would be|should be|must be|:|=|-)\s?:?\s?"
    r"|(?:^|[.,;:\n]\s?|\b(?:i|we|i'd|i'll|so|thus|therefore|would|will|should|must) )"
    r"(?:choose|select|pick|go with) )"
    r"(?:most likely |clearly |definitely )?(?:option |choice |letter |answer )?")
CUE = re.compile(f"{CHINESE_CUE}|(?i:{ENGLISH_CUE})")
BARE_CUE = re.compile(r"(?:答案[】\])]?|选项)\s?|(?i:\boption\s)")          # 答案B, where the line ends there
AFTERWARDS = re.compile(                               # B is the correct answer
    r"(?<![\w-])[(\[]?([A-Z])[)\]]?\s?(?:(?:is|would be) the (?:single )?"
    r"(?:correct|best|right|most likely|most appropriate) (?:answer|option|choice)"
    r"|[是为](?:本题的?)?(?:正确|最佳)的?(?:答案|选项))")
UNSURE = re.compile(r"不|并非|如果|若|假如|或|\b(?:not|never|if|unless|whether|n?either|n?or|and|cannot"
                    r"|[a-z]+n't)\b", re.I)
CUE_UNSURE = re.compile(r"不|并非|如果|若|假如|或|错误|干扰|\b(?:not|never|if|unless|whether|n?either|nor"
                        r"|cannot|incorrect|wrong|least|[a-z]+n't)\b", re.I)
OPTION_LINE = re.compile(r"^\s?[(\[]?([A-Z])[)\]]?\s?[.、:)]", re.M)
REFERS = re.compile(                                   # an option that speaks of others: their order matters
    r"(?:以上|以下|下列)(?:都|均|皆|全|各|选|所有|答案|说法|[二两三四五几])|上述|前述"
    r"|(?i:\b(?:of|the) (?:above|below)\b)"
    r"|(?<![A-Za-z])[A-H]\s?(?:[、,和与及+/]|and|n?or)\s?[A-H](?![A-Za-z])")


# ---- what an answer says

def plain(text):
    """Half-width, without marks of Markdown and LaTeX, one space for many."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    for _ in range(2):                                 # \boxed{\text{B}}
        text = re.sub(r"\\(?:boxed|text|mathrm)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"[*`$#]|__", "", text)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def patterns(options):
    """{letter: a pattern of the option's text}: any case, any spaces between words, no final stop."""
    words = {letter: plain(text).rstrip("。;, ") for letter, text in options.items()}
    words = {letter: re.sub(r"(?<!\b[a-z]\.[a-z])\.$", "", text, flags=re.I).split()      # but "m.p." stays
             for letter, text in words.items()}
    return {letter: re.compile(OPEN + r"\s+".join(map(re.escape, some)) + CLOSE, re.I)
            for letter, some in words.items() if some}


def items(text, at, texts):
    """(letters, end, form) of all that one item here may be."""
    def named(at):
        found = {letter: pattern.match(text, at) for letter, pattern in texts.items()}
        return {letter: match.end() for letter, match in found.items() if match}
    if found := LETTERS.match(text, at):
        run = found[1]
        if set(run) <= set(texts) and list(run) == sorted(set(run)):
            yield run, found.end(), "letters"
        for mark in LABEL_MARKS if run in texts else ():
            ends = named(start.end()) if (start := mark.match(text, found.end())) else {}
            for end in ends.values():
                yield run if ends.get(run) == end else CLASH, end, "labelled"
    ends = named(at)
    for letter, end in ends.items():
        yield letter, end, "texts"
        if label := IN_BRACKETS.match(text, end):
            yield label[1] if ends.get(label[1]) == end else CLASH, label.end(), "texts"


def lists(text, at, texts, form=None, before=""):
    """(letters, end, form) of all lists that begin here; no option twice."""
    for letters, end, found in items(text, at, texts):
        if form in (None, found) and not set(letters) & set(before):
            yield before + letters, end, found
            mark = SEPARATOR.match(text, end)
            if mark.end() > end:
                yield from lists(text, mark.end(), texts, found, before + letters)


def reading(text, at, texts, after, forms=("letters", "labelled", "texts")):
    """What the longest list says that begins here and that `after` follows: letters, CLASH or None.  The text
    of one option is no list of others, whatever it is made of (fever; cough; fever and cough)."""
    found = [(end, form, "".join(sorted(letters))) for letters, end, form in lists(text, at, texts)
             if form in forms and after.match(text, end)]
    longest = [(form, letters) for end, form, letters in found if end == max(found)[0]]
    one = any(form == "texts" and len(letters) == 1 for form, letters in longest)
    said = {letters for form, letters in longest if not (one and form == "texts" and len(letters) > 1)}
    return said.pop() if len(said) == 1 else CLASH if said else None


def clause(text, end, stops):
    """What stands before a place, since the last stop."""
    return text[max(text.rfind(stop, 0, end) for stop in stops) + 1:end]


def statements(text, texts):
    for cue in CUE.finditer(text):
        if not CUE_UNSURE.search(clause(text, cue.start(), "。.!?;,\n")):
            yield reading(text, cue.end(), texts, END)
    for cue in BARE_CUE.finditer(text):
        yield reading(text, cue.end(), texts, LINE_END)
    for found in AFTERWARDS.finditer(text):
        if not UNSURE.search(clause(text, found.start(), "。.!?;\n")):
            yield found[1] if found[1] in texts else None


def chosen(text, options):
    """The letters that an answer chooses, in order, "B" or "ACE"; None where that is not clear.

    >>> chosen("病人应先查血常规。故选B。", {"A": "CT", "B": "血常规"})
    'B'
    """
    text, texts = plain(text), patterns(options)
    said = {*statements(text, texts), *lines(text, texts)} - {None}
    found = said.pop() if len(said) == 1 else None
    return None if found is None or CLASH in found else found


def lines(text, texts):
    """What an answer of one line says, how one begins, and what lines of letters, labelled or not, say.
    Nothing where it lists options."""
    if len(set(OPTION_LINE.findall(text))) > 1:
        return
    yield reading(text, 0, texts, WHOLE)
    yield reading(text, 0, texts, SENTENCE, ("letters",))
    yield reading(text, 0, texts, END, ("labelled",))
    for line in re.finditer(r"^\s?", text, re.M):
        yield reading(text, line.end(), texts, LINE_END, ("letters", "labelled"))


# ---- scores

def is_right(choice, answer):
    """Several right answers: all of them and no other."""
    return choice is not None and set(choice) == set(answer)


def partial_credit(choice, answer):
    """Jaccard index of the letters chosen and the right ones; kept apart from accuracy."""
    return len(set(choice) & set(answer)) / len(set(choice) | set(answer)) if choice else 0.0


# ---- other orders of the options, other questions before

def reference(options, answer, chinese):
    """The answer as the converters write it; of several right ones, one after the other."""
    form = ANSWER["zh" if chinese else "en"]
    cue, separator = form[:form.index("{")], "；" if chinese else "; "
    return cue + separator.join(form.removeprefix(cue).format(text=options[letter], letter=letter)
                                for letter in answer)


def refers(options):
    return any(REFERS.search(plain(text)) for text in options.values())


def rotations(record):
    """The record, and it with the options' texts moved by one, two ... places under letters that stay.  Only
    itself where an option speaks of others ("all of the above").  ValueError where the question lists its
    options in a form that cannot be turned."""
    options, answer = record["meta"]["options"], record["meta"]["answer"]
    letters, turned = list(options), [record]
    for k in range(1, 1 if refers(options) else len(letters)):
        moved = {letter: options[letters[(i + k) % len(letters)]] for i, letter in enumerate(letters)}
        new = "".join(sorted(letters[(letters.index(letter) - k) % len(letters)] for letter in answer))
        *before, asked, solution = record["messages"]
        question = asked | {"content": listed_as(moved, asked["content"], options, record)}
        chinese = bool(re.search("[\u4e00-\u9fff]", question["content"]))
        solution = solution | {"content": reference(moved, new, chinese)}
        turned.append(record | {"id": f"{record['id']}~{k}", "messages": [*before, question, solution],
                                "meta": record["meta"] | {"options": moved, "answer": new, "rotation": k}})
    return turned


def listed_as(moved, question, options, record):
    """The question with other texts in its list of options; unchanged if it has no list."""
    marks = [rf"({letter}\s?[.、:：．)）]\s*){re.escape(text)}" for letter, text in options.items()]
    found = re.search(r"(\s*[;；,，]?\s*[(（]?)".join(marks), question)
    if not found:
        if OPTION_LINE.search(unicodedata.normalize("NFKC", question)) \
                or any(re.search(mark, question) for mark in marks):
            raise ValueError(f"{record['id']}: the options in the question are not those in meta "
                             f"({', '.join(options)}), in their order; repair the record")
        return question
    marks = iter(found.groups())
    parts = [next(marks) + moved[letter] + next(marks, "") for letter in options]
    return question[:found.start()] + "".join(parts) + question[found.end():]


def over_rotations(records, choices):
    """What the order of options does, over the questions asked in all of their rotations (of those with the
    commonest number of options).  Each letter is right equally often there, so a model that looks at texts
    alone chooses each equally often; `preference` is half the sum of |share - 1/n|: 0, or at most 1 - 1/n."""
    asked = defaultdict(dict)
    for record, choice in zip(records, choices, strict=True):
        k = record["meta"].get("rotation", 0)
        asked[record["id"].removesuffix(f"~{k}") if k else record["id"]][k] = (record, choice)
    whole = [of for of in asked.values() if 1 < len(of) == len(of[0][0]["meta"]["options"])]
    if not whole:
        return None
    n = Counter(map(len, whole)).most_common(1)[0][0]
    whole = [[of[k] for k in range(n)] for of in whole if len(of) == n]
    right = [[is_right(choice, record["meta"]["answer"]) for record, choice in of] for of in whole]
    accuracy = [sum(column) / len(whole) for column in zip(*right)]
    letters = Counter("".join(choice or "" for of in whole for _, choice in of))
    options = whole[0][0][0]["meta"]["options"]
    shares = {letter: letters[letter] / max(letters.total(), 1) for letter in options}
    return {"questions": len(whole), "accuracy": accuracy, "spread": max(accuracy) - min(accuracy),
            "right in all": sum(map(all, right)) / len(whole), "letters": shares,
            "preference": sum(abs(share - 1 / n) for share in shares.values()) / 2 if letters else 0.0}


def stem(question):
    """The question without its options, spaces and punctuation, to tell whether two ask the same; with the
    options, in alphabetical order, where it is too short to tell ("Which is right?")."""
    lines = unicodedata.normalize("NFKC", question).lower().split("\n")
    listed = [line for line in lines if OPTION_LINE.search(line.upper())]
    alone = re.sub(r"[\W_]", "", "".join(line for line in lines if line not in listed))
    options = sorted(re.sub(r"[\W_]", "", OPTION_LINE.sub("", line.upper())).lower() for line in listed)
    return alone if len(alone) >= 13 else "\n".join([alone, *options])


def few_shot(record, examples, count):
    """The record with `count` solved examples before its question, those of its category first; never one
    that asks the same."""
    def asked(one):
        return stem("\n".join(turn["content"] for turn in one["messages"] if turn["role"] == "user"))
    category, own = record["meta"].get("category"), asked(record)
    ordered = (one for near in (True, False) for one in examples
               if (one["meta"].get("category") == category) == near)
    fit = list(islice((one for one in ordered if asked(one) != own), count))
    if len(fit) < count:
        raise ValueError(f"{record['id']}: {len(fit)} examples that do not ask the same, {count} needed; "
                         "give more examples")
    system = [turn for turn in record["messages"] if turn["role"] == "system"]
    shots = [turn for one in fit for turn in one["messages"] if turn["role"] != "system"]
    return record | {"messages": [*system, *shots, *record["messages"][len(system):]]}
