"""MedDialog and COVID-Dialogue, patients and doctors of Chinese and English sites: github.com/UCSD-AI4H.

Raw, *.txt: blocks that begin with a line id=<number>, then the address of the page, and sections, each with
its name on a line: Doctor faculty, Description, Dialogue, Diagnosis and suggestions.  In a dialogue 医生：,
病人：, Doctor: or Patient: alone on a line names the speaker of the lines below.  A block may hold several
consultations, each with a Description; another Dialogue without one is the same consultation, later.
Processed, *.json: a list of dialogues, each a list of "病人：..." and "医生：...", or, in English,
{"description", "utterances": ["patient: ...", "doctor: ..."]}; train, validate and test files are splits.

What the sites write into the turns is cut: greetings of every answer, calls, advertising, requests to be
rated, signatures, prescriptions.  The doctor's summary goes to meta, the doctor's hospital is left out.
"""
import re

from data.dialogue import ROLES, add_dialogue
from data.releases import clean, command, field, find_all, json_records, official_splits, read_text

SPEAKER = re.compile(r"^(医生|病人|患者|Doctor|Patient)[：:][ \t]*$", re.M)
SAYS = re.compile(r"(医生|病人|患者|Doctor|Patient)[：:]\s*", re.I)
FIELDS = re.compile("^(所患)?疾病[：:]", re.M)         # of a description; an appointment may stand before it
NOTICES = [re.compile(pattern, flags) for flags, pattern in (
    (re.S, "疾病诊断[：:][^\n]*\n药品[：:].*|(开药需求|预约医生|就诊时间)[：:].*"),      # forms between turns
    (0, "感谢您的信任，病情资料我已详细阅读。(根据您现有的资料，建议：)?[，。 ]*"),
    (0, "医生(已经通过语音回答了您的问题，请及时收听。|给您发来一个提醒|使用隐私电话功能与患者通话"
        "|给患者打电话患者未接听)[：:]?"),
    (0, "您好！ ?我现在正忙.*|还有一些细节需要问你 .*|(病历图片资料)?仅医生和患者本人可见"),
    (re.M, "(^|(?<=[。！!？]))[^。！!？\n]*(好评|给予[^。！!？\n]*评价|送心意)[^。！!？\n]*[。！!？]?"),
    (0, r"《[^》\n]*》[：:]|（\d{4}-\d\d-\d\d填写）|\[(图片|语音|视频|表情)\]"),
    (0, r"Would you like to (video or )?text chat with me\?|\AIn brief:"),
    (re.I, r"\b(hi|hello|dear|and|,|\s)*(thanks for your (question|query) (on|to|at)|(warm\s+)?welcome to)\s+"
           r"(the )?(health ?care ?magic(\.com)?|.?ask a doctor.? service)\W*"),
    (0, r"I have (reviewed|evaluated) your query[^.\n]*\.|I can understand your concerns?\."),
    (re.S, r"Hope (I have (answered|solved) your|your concern solved|this will help you).{0,250}\Z"),
    (re.S, r"(Take care\W*)?Regards(\b|(?=Dr)).{0,60}\Z"))]


def tidy(text, sets):
    """The text without what the site wrote into it, without repeated spaces and empty lines."""
    for notice in NOTICES:
        text, count = notice.subn("", text)
        sets.cleaned["parts cut as not said by either"] += count
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t\xa0\u3000]+", " ", text)).strip()


def add(sets, split, turns, description="", summary=""):
    turns = [(role, tidy(text, sets)) for role, text in turns]
    summary = tidy(summary, sets)
    add_dialogue(sets, split, turns, tidy(description, sets), **({"summary": summary} if summary else {}))


def raw(path, text, split, sets):
    blocks = re.split(r"^id=\d+[ \t]*$", text.replace("\r\n", "\n"), flags=re.M)
    if len(blocks) < 2 or blocks[0].strip():
        raise ValueError(f"{path}:1: does not begin with a line id=<number>; keep dialogues alone here")
    for block in blocks[1:]:
        cases = re.split(r"^Description[ \t]*$", block, flags=re.M)[1:]
        if not cases:
            sets.drop("no description")
        for case in cases:
            description, *dialogues = re.split(r"^Dialogue[ \t]*$", case, flags=re.M)
            begin = FIELDS.search(description)
            turns, summaries = [], []
            for dialogue in dialogues:
                dialogue, *summary = re.split(r"^Diagnosis and suggestions[ \t]*$", dialogue, flags=re.M)
                parts = SPEAKER.split(dialogue)
                roles = (ROLES[name.lower()] for name in parts[1::2])
                turns += zip(roles, map(clean, parts[2::2]), strict=True)
                summaries += summary
            add(sets, split, turns, clean(description[begin.start() if begin else 0:]), "".join(summaries))


def processed(path, text, split, sets):
    kind = list if re.match(r"\s*\[\s*\[", text) else dict
    for place, record in json_records(path, text, kind):
        lines = record if kind is list else field(record, place, "utterances", list)
        said = [SAYS.match(line) if isinstance(line, str) else None for line in lines]
        if not all(said):
            raise ValueError(f"{place}: a line begins with no speaker (病人：, doctor: ...); repair it")
        turns = [(ROLES[match[1].lower()], clean(match.string[match.end():])) for match in said]
        add(sets, split, turns, field(record, place, "description") if kind is dict else "")


def convert(release, sets):
    """Make dialogue records of MedDialog or COVID-Dialogue, and QA records where there is one answer."""
    for split, path in official_splits(find_all(release, "*.txt", "*.json")):
        text = read_text(path)
        (processed if text.lstrip()[:1] in ("[", "{") else raw)(path, text, split, sets)


if __name__ == "__main__":
    command("meddialog", convert)
