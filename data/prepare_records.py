"""A group's own health records, JSON lines or CSV with a header: columns named by flags.

    python -m data.prepare_records FILE --out DIR --complaint 主诉 --illness 现病史 --diagnosis 出院诊断 \\
        --icd ICD编码 --patient 病人ID --information 性别,年龄

A flag takes a column as the header writes it, or several with commas between.  Without flags the columns
are those of COLUMNS; any may be absent but the diagnosis and one that tells of the patient.  --text is a
record in one text, whose headings are recognised.  Of several diagnoses the first is the label.  All records
of a patient go into the same set; the patient's number is not written.  Names, numbers and dates are replaced
(privacy.py), those of one patient alike in all records, as far as they are found: let a person read what
comes out.  The names in the columns of --persons (姓名,主管医师) are replaced wherever else they stand.
"""
import re

from data.health_records import (
    ICD10,
    SECTIONS,
    add_diagnosis,
    diagnoses,
    is_chinese,
    other_names,
    sections,
)
from data.releases import clean, command, digest, find_all, read_records, split_of

COLUMNS = {"text": "context", "information": "information", "complaint": "chief_complaint",
           "illness": "present_illness", "history": "past_history", "examination": "physical_examination",
           "tests": "auxiliary_examination", "diagnosis": "diagnosis", "aliases": "aliases", "icd": "icd",
           "group": "group", "patient": "patient", "persons": "persons"}
HELP = {"text": "the whole record in one text", "diagnosis": "the label: the first of several",
        "aliases": "its other names", "icd": "its ICD-10 code, which decides the group", "group": "its group",
        "patient": "whose it is: one number, one set", "persons": "names to replace wherever they stand"}


def value(record, place, column):
    """A cell as text: "" where it is absent, null or NaN; a list as lines."""
    found = record.get(column)
    texts = [text for text in (found if isinstance(found, list) else [found]) if text is not None]
    if not all(isinstance(text, str | int | float) for text in texts):
        raise ValueError(f"{place}: '{column}' holds an object, no text, number or list; repair the record")
    return "\n".join(clean(str(text)) for text in texts if text == text)


def joined(record, place, columns):
    """The cells of a section: each after the name of its column, where there are several."""
    texts = {column: value(record, place, column) for column in columns}
    colon = "：" if is_chinese("".join(texts.values())) else ": "
    return "\n".join(f"{column}{colon}{text}" if len(columns) > 1 else text
                     for column, text in texts.items() if text)


def convert(release, sets, name="records", **columns):
    """Make diagnosis records of health records."""
    if not re.fullmatch("[a-z0-9_]+", name):
        raise ValueError(f"--name {name}: should be small letters, digits and _, as it begins file names")
    sets.source, sets.private, seen, codes = name, True, {}, []
    wanted = {role: (columns.get(role) or column).split(",") for role, column in COLUMNS.items()}
    for path in find_all(release, "*.jsonl", "*.json", "*.csv"):
        for place, record in read_records(path):
            seen |= record
            cell = {role: [text for column in names if (text := value(record, place, column))]
                    for role, names in wanted.items()}
            parts = {role: joined(record, place, wanted[role]) for role in SECTIONS if cell.get(role)}
            parts = {**sections(parts.pop("text", "")), **parts}
            label = next(iter(diagnoses("\n".join(cell["diagnosis"]))), "")
            codes += cell["icd"][:1]
            id = digest(*parts.values(), label)[:16]
            patient = cell["patient"] and digest(*cell["patient"])
            sets.persons[f"{sets.source}-{id}"] = [name for names in cell["persons"]
                                                   for name in re.split(r"[，,、；;/\n]", names)]
            sets.patients[f"{sets.source}-{id}"] = patient or ""
            add_diagnosis(sets, split_of(patient or id), id, parts, label,
                          [*other_names(label), *"\n".join(cell["aliases"]).split("\n")],
                          "".join(cell["icd"][:1]), "".join(cell["group"][:1]))
    needed = [column for role in columns if columns[role] for column in wanted[role]] + wanted["diagnosis"]
    if absent := [column for column in needed if column not in seen]:
        raise ValueError(f"{release}: no record has a column '{absent[0]}' (found {', '.join(seen)}); "
                         "name the columns by flags: --help")
    if codes and not any(ICD10.match(code.upper()) for code in codes):
        raise ValueError(f"{release}: no code of --icd is of ICD-10 (the first: {codes[0][:20]!r}); "
                         "leave that column out")


if __name__ == "__main__":
    named = "of the set: how its files begin (columns with names of people: --persons)"
    command("records", convert, name=dict(default="records", help=named),
            **{role: dict(default="", metavar="COLUMN",
                          help=f"{HELP.get(role, 'section')} (default {column})")
               for role, column in COLUMNS.items()})
