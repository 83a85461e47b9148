"""MedFound, records of a hospital with diagnosis and ICD-10 code, in English: github.com/medfound/medfound.

data/test.zip, test.jsonl: {"qid", "context", "diagnosis", "diagnosis_code"}; context is a record in one
text, its sections under headings.  The release has this one file, which is split here: report no score on the
whole of it after training on its train part.
"""
from data.health_records import add_diagnosis, other_names, sections
from data.releases import command, field, only_file, read_records, split_of


def convert(release, sets):
    """Make diagnosis records of MedFound."""
    for place, record in read_records(only_file(release, "test.*")):
        id, label = field(record, place, "qid"), field(record, place, "diagnosis")
        add_diagnosis(sets, split_of(id), id, sections(field(record, place, "context")), label,
                      other_names(label), field(record, place, "diagnosis_code"))


if __name__ == "__main__":
    command("medfound", convert, max_chars=4000)     # English takes more characters for the same tokens
