"""Toyhom, questions to doctors of six departments: github.com/Toyhom/Chinese-medical-dialogue-data.

Data_数据/<department>/*.csv, six files, and a sample: GBK, columns department, title, ask, answer.  All csv
files in the folder are read.  The question is title and ask, or the one of them that holds the other.
"""
from data.releases import command, digest, field, find_all, read_records, split_of


def convert(release, sets):
    """Make QA records of Toyhom."""
    for path in find_all(release, "*.csv"):
        for place, record in read_records(path):
            title, asked, answer = (field(record, place, name) for name in ("title", "ask", "answer"))
            if asked == "无" or asked in title:
                asked = title
            elif title.rstrip("?？。") not in asked:
                asked = f"{title}\n{asked}"
            id, department = digest(asked, answer)[:16], field(record, place, "department")
            sets.add_task(split_of(id), "qa", id, [asked, answer], category=department)


if __name__ == "__main__":
    command("toyhom", convert)
