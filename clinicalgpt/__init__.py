"""ClinicalGPT, rebuilt: a base language model, fine-tuned on medical records, rewarded by ranked answers,
aligned with PPO."""

from clinicalgpt.generate import generate
from clinicalgpt.model import load_model
from clinicalgpt.tokenizer import load_tokenizer

__all__ = ["generate", "load_model", "load_tokenizer"]
