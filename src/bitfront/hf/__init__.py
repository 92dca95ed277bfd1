"""Hugging Face models and their texts, as factories for recipes. Needs the extra: pip install 'bitfront[hf]'.

`causal_lm` and `sequence_classifier` load a model from a folder or from the hub; `text` and `labelled_text`
give the splits to judge it on. Only safetensors are read, and no code that comes with a model is run.
"""

from bitfront.hf.labelled import labelled_text
from bitfront.hf.models import causal_lm, sequence_classifier
from bitfront.hf.texts import text

__all__ = ["causal_lm", "labelled_text", "sequence_classifier", "text"]
