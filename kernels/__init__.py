"""The two places where a language model spends its time:
attention, and scoring tokens against the vocabulary."""
