"""The task library: declarations only, grouped as the field groups them. Importing it registers them."""

from jiantx.tasks import commonsense, language_modeling, nli, paraphrase, qa, retrieval, similarity, tagging

__all__ = ["commonsense", "language_modeling", "nli", "paraphrase", "qa", "retrieval", "similarity", "tagging"]
