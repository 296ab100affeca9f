"""Scores that others have published, computed again with jiantx."""
