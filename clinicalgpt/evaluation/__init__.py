"""What evaluate.py is made of.  The story: tasks.py asks, speakers.py answers, scores.py measures, judged.py
compares, shown.py prints."""
