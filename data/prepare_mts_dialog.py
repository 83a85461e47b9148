"""MTS-Dialog, doctors asking patients, each with the section of the note that was written from it:
github.com/abachaa/MTS-Dialog, Main-Dataset/MTS-Dialog-{TrainingSet,ValidationSet,TestSet-*}.csv.

Columns ID, section_header, section_text, dialogue: lines "Doctor: ...", "Patient: ...", "Guest_family: ...";
the family speaks for the patient.  Dialogues in which a second doctor or a clinician speaks are dropped.  A
dialogue begins with what the patient first says in MIN_WORDS words or more: nearly all open with a question
of the doctor, and "No." makes no sense without it.
"""
import re

from data.dialogue import add_dialogue
from data.releases import command, field, find, find_all, read_records

SPEAKER = re.compile(r"\b(Doctor|Docotr|Patient|Gu?est_famil[a-z]+|Gu?est_clini[a-z]+)(_?\d)?[ \t]*"
                     r"(?::|(?<=family)\.)")
MIN_WORDS = 5


def convert(release, sets):
    """Make dialogue records of MTS-Dialog."""
    files = [("train", find(release, "MTS-Dialog-TrainingSet.csv")),
             ("valid", find(release, "MTS-Dialog-ValidationSet.csv")),
             *(("test", path) for path in find_all(release, "MTS-Dialog-TestSet-*.csv"))]
    for split, path in files:
        for place, record in read_records(path):
            before, *parts = SPEAKER.split(field(record, place, "dialogue"))
            if before.strip('" \n') or not parts:
                raise ValueError(f"{place}: no speaker (Doctor:, Patient:) begins the dialogue; repair it")
            speakers = [name + (number or "") for name, number in zip(parts[::3], parts[1::3], strict=True)]
            if any("clini" in name or re.match(r"Do.*\d", name) for name in speakers):
                sets.drop("another clinician speaks")
                continue
            turns = [("assistant" if name.startswith("Do") else "user", " ".join(text.split()).strip('" '))
                     for name, text in zip(speakers, parts[2::3], strict=True)]
            start = next((i for i, (role, text) in enumerate(turns)
                          if role == "user" and len(text.split()) >= MIN_WORDS), len(turns))
            meta = {"section": field(record, place, "section_header"),
                    "note": field(record, place, "section_text")}
            id = f"{path.stem.split('-')[2]}-{field(record, place, 'ID')}"
            add_dialogue(sets, split, turns[start:], task="dialogue", id=id, **meta)


if __name__ == "__main__":
    command("mts_dialog", convert, max_chars=4000)
