"""The command `jiantx`: each of its verbs is a call of the library."""

from jiantx.command.program import main

__all__ = ["main"]
