"""
Diagnoses: which disease an answer names, whether it is the right one, which group is taken for which.
(Not here: how records are made, data/health_records.py; the knowledge graph, which gives aliases.)

    names       what stands after a cue (诊断：, the most likely diagnosis is), or first where none is: one
                name, a list (1. ... 2. ...; 、和 or), without what is said for it and what to do
    right       one name, and it equals the label or an alias, both as `normal` writes them
    wrong       another name, or several: the right one among them counts in the top 3 alone
    refused     no name, but that none can be given;  empty: nothing

Equal means equal: 支气管肺炎 is not 肺炎, and neither is 不是肺炎.  `normal` makes one of full and half
width, capitals, spaces, punctuation, I型 and 1型, type II and type 2, 综合症 and 综合征; an ICD-10 code
beside a name goes, a code alone is one of J18.9, J189, J18.900 and J18.9x00.
"""

import re
import unicodedata
from collections import Counter, defaultdict

from data.health_records import group_of

CLAUSE = r"(?:^|[\n。;,!]|(?<=\. ))\s?(?:(?:综上所?述?|因此|所以|(?i:so|therefore|thus|overall)),?\s?)?"
CUES = [re.compile(CLAUSE + cue + r"\s*") for cue in (           # each where those before are nowhere
    r"(?:(?:初步|入院|出院|临床|门诊|最终|最后|主要|西医|最可能的?|[该此本]?(?:患[者儿]|病人)的?)*"
    r"(?:诊断(?:结果|结论|意见)?\s?(?:考虑)?(?:是|为|:|\n)|确诊(?:为|:))"
    r"|(?i:(?:(?:the|this|my|most|likely|final|primary|principal|working|probable|provisional|patient's) )*"
    r"diagnosis(?: (?:is|would be)|\s?:| -)(?: ?most likely)?))\s?:?",
    r"(?:最可能(?:是|为)|(?:患[者儿]|病人)?(?:首先)?考虑(?:诊断)?(?:是|为|:)?"
    r"|(?i:(?:the |this )?patient (?:(?:most |very )?likely|probably) has\b))",
    r"\A(?i:(?:the |this )?patient has\b)")]
NUMBER = re.compile(r"(?:^|(?<=[\s。;,]))[(]?\d{1,2}[.、:)](?!\d)\s?", re.M)
STOP = re.compile(                                     # what follows is no name any more
    r"\n|。|:|\s-\s|\.\s+(?=[A-Z])"
    r"|[,;.]\s?(?:建议|请|需要?|应|给予|予|可|依据|理由|根据|which|with treatment|treat)"
    r"|[,;]?\s?(?:因为|由于|鉴别诊断|诊断依据)"
    r"|[,;]?\s\b(?:because|based on|given|supported by|since)\b", re.I)
PARTS = re.compile(r"[、,;/+]|\s(?:and|or|versus|vs)\b\.?|以及|或者?|和|并(?!发)|及")
REFUSAL = re.compile(
    r"(?:无法|不能|难以|不便)[^,。;]{0,8}(?:诊断|确诊|判断|确定|提供|回答)|(?:信息|资料|证据)不(?:足|够)|不是医生"
    r"|作为[^,。]{0,6}(?:AI|人工智能|模型)|抱歉|对不起|就[医诊]|咨询[^,。]{0,6}医[生师]|诊断不明"
    r"|不(?:知道|清楚|确定)"
    r"|\b(?:cannot|can't|can not|unable to|not able to|not possible to)\b.{0,20}"
    r"\b(?:diagnos|determin|provid|give|make|say|establish)"
    r"|(?:insufficient|not enough|limited) (?:information|data)|\bas an ai\b|\bsorry\b"
    r"|not a (?:doctor|physician)|(?:consult|see|seek) .{0,20}(?:doctor|physician|professional|medical|care)"
    r"|don't know|\bundetermined\b", re.I)
CODE = r"[A-Z]\d[\dA-Z](?:\.?\d{1,3}|\.?\d?x\d\d)?(?:x\d{3})?"
DOTTED = r"[A-Z]\d[\dA-Z]\.(?:\d{1,3}|\d?x\d\d)(?:x\d{3})?"
CODE_BESIDE = re.compile(
    rf"(?:ICD-?10)?[:\s]*[(\[]\s*(?:ICD-?10)?[:\s]*{CODE}\s*[)\]]"
    rf"|^\s*{DOTTED}[\s:,]+|[\s:,]+{DOTTED}\s*$", re.I)
SHORT = re.compile(r"\(\s*(?=[\w-]*[A-Z][\w-]*[A-Z])[A-Za-z][A-Za-z0-9-]{1,7}\s*\)")      # an abbreviation
SIGN = re.compile(r"(?<=[a-z0-9])[+-](?![a-z0-9])")              # HER2+ is not HER2-
ROMAN = {numeral: i for row in ("i ii iii iv v vi", "一 二 三 四 五 六")
         for i, numeral in enumerate(row.split(), 1)}
ROMANS = "iii|ii|iv|i|vi|v"
DEGREE = re.compile(rf"(?<![a-z])({ROMANS}|[一二三四五六])\s?(?=[型期级度类])"
                    rf"|(?:(?<=type )|(?<=stage )|(?<=grade )|(?<=class ))({ROMANS})\b")


def plain(text):
    text = re.sub(r"([①-⑳])", lambda found: f"\n{ord(found[1]) - 0x245f}. ", text)
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    text = re.sub(r"[*`#]|__|^[-•]\s", "", text, flags=re.M)
    text = re.sub(r"[【\[]([^】\]\n]{1,12})[】\]]", r"\1:", text)      # 【诊断】肺炎
    return re.sub(r":\s?:", ":", re.sub(r"[^\S\n]+", " ", text)).strip()


def normal(name):
    """>>> normal("Ⅱ型 糖尿病"), normal("Type II diabetes"), normal("J18.900")
    ('2型糖尿病', 'type2diabetes', 'j18.9')"""
    text = unicodedata.normalize("NFKC", name).strip().lower().replace("综合症", "综合征")
    if re.fullmatch(CODE, text, re.I):
        category, rest = text[:3], text[3:].lstrip(".")
        rest = re.sub(r"(?<=^[\dx])00$|(?<=^\dx)00$", "", rest).rstrip("x")
        return f"{category}.{rest}" if rest else category
    text = DEGREE.sub(lambda found: str(ROMAN[found[found.lastindex]]), text)
    text = SIGN.sub(lambda found: {"+": " positive", "-": " negative"}[found[0]], text)
    return re.sub(r"[\W_]+", "", re.sub(r"^(?:the|an?)\s", "", text))


def spellings(name):
    """{(form, is an abbreviation beside it gone)}: the name as it is, without a code, without both."""
    name = unicodedata.normalize("NFKC", name)
    without = CODE_BESIDE.sub("", name)
    short = SHORT.sub("", without)
    forms = {(normal(name), False), (normal(without), False), (normal(short), short != without)}
    return {(form, gone) for form, gone in forms if form}


def same(name, right):
    """Whether it is one of the right names, or two of them, the second in brackets."""
    parts = filter(str.strip, re.split(r"[()]", unicodedata.normalize("NFKC", name)))
    return bool(spellings(name) & right) or all(spellings(part) & right for part in parts)


def known(record):
    """All spellings that count as right.  One side may lack an abbreviation, but not both: hepatitis (HBV) is
    not hepatitis (HAV)."""
    meta = record["meta"]
    forms = set().union(*map(spellings, (meta["label"], *meta.get("aliases", ()))))
    return {(form, gone) for form, bare in forms for gone in ({False} if bare else {False, True})}


def stated(text):
    """What follows each cue, or the beginning: the parts of a numbered list, or one, and which it is."""
    starts = next(filter(None, ([found.end() for found in cue.finditer(text)] for cue in CUES)), [0])
    for start, end in zip(starts, [*starts[1:], len(text)]):
        rest = text[start:end].strip()
        numbers = [*NUMBER.finditer(rest)]
        if numbers and numbers[0].start() == 0:
            rest = re.split(r"\n\s*\n", rest)[0]
            numbers = [number for number in numbers if number.end() <= len(rest)]
            ends = [number.start() for number in numbers[1:]] + [len(rest)]
            parts = [rest[number.end():end].strip() for number, end in zip(numbers, ends)]
            yield [STOP.split(part)[0] for part in parts], True
        else:
            yield [STOP.split(rest)[0]], False


def names(answer, right=frozenset()):
    """The names in an answer, in order, each once.  What equals a right one as a whole is not split ("gout,
    unspecified")."""
    found = {}
    for parts, numbered in stated(plain(answer)):
        for part in parts:
            for name in [part] if numbered or same(part, right) else PARTS.split(part):
                if re.search(r"\w", name):
                    found.setdefault(normal(CODE_BESIDE.sub("", name)), name.strip(" .。,;:?!"))
    return [*found.values()]


def outcome(answer, record):
    """right, wrong, refused or empty."""
    if not re.search(r"\w", answer):
        return "empty"
    right = known(record)
    said = names(answer, right)
    if said and all(same(name, right) for name in said):
        return "right"
    return "refused" if not said or any(map(REFUSAL.search, said)) else "wrong"


def in_top(answer, record, count=3):
    """Whether one of the first names is the right one."""
    right = known(record)
    return any(same(name, right) for name in names(answer, right)[:count])


def confusion(records, answers):
    """{group of the record: {group of the first name in the answer: how often}}; also refused and empty.  The
    group of a name is that of the records that have it, else what its words say, else "other"."""
    group_by_name, table = {}, defaultdict(Counter)
    for record in records:
        for name in known(record):
            group_by_name.setdefault(name, record["meta"].get("group") or "all")
    for record, answer in zip(records, answers, strict=True):
        group, found, right = record["meta"].get("group") or "all", outcome(answer, record), known(record)
        if found in ("right", "wrong"):
            first = names(answer, right)[0]
            spelled = spellings(first)
            words = group_of(first)
            found = group if same(first, right) else next(
                (group_by_name[name] for name in sorted(spelled) if name in group_by_name),
                words if words in group_by_name.values() else "other")
        table[group][found] += 1
    return {group: dict(row) for group, row in sorted(table.items())}
