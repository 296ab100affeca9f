"""The model: one shared encoder and a dictionary of heads; how it is loaded, saved and exported."""

from jiantx.model.auto_models import SavedEncoder
from jiantx.model.config import MultitaskConfig
from jiantx.model.loading import without_pooler
from jiantx.model.model import MultitaskModel

__all__ = ["MultitaskConfig", "MultitaskModel", "SavedEncoder", "without_pooler"]
