"""The model: one shared encoder, a dictionary of heads; how it is loaded, saved and exported."""

from jiantx.model.model import MultitaskConfig, MultitaskModel, without_pooler

__all__ = ["MultitaskConfig", "MultitaskModel", "without_pooler"]
