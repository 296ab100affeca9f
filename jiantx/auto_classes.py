"""transformers' `AutoModel` opens jiantx's folders, though `import jiantx` imports no transformers.

transformers has to be told of a model type before it meets one. So that this needs no torch, it is
told when its auto classes are imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO_MODELS = "transformers.models.auto.modeling_auto"


def register_auto_classes() -> None:
    """Register jiantx's models with transformers, once its auto classes are imported."""
    if _AUTO_MODELS in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterImport())


def _register() -> None:
    """Import `jiantx.model`, which registers its classes."""
    modules = [module for name, module in sys.modules.items() if name.startswith("jiantx.")]
    # a module of jiantx asked for the auto classes: what it is a part of could not be imported now
    if not any(getattr(module.__spec__, "_initializing", False) for module in modules):
        import_module("jiantx.model")


class _AfterImport(MetaPathFinder):
    """Calls `_register` once, after transformers' auto classes were imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO_MODELS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)  # as the other finders see it
        loader: Any = spec and spec.loader
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _register()

            loader.exec_module = exec_module
        return spec
