"""The flag --data-root."""

from __future__ import annotations

from jiantx.sources import data_root


def choose_data_root(value: str | None) -> None:
    """Set where tasks read their rows.

    Args:
        value: A folder, "hub", "artificial" for the artificial world; None leaves the default.
    """
    if value == "artificial":
        from jiantx.synthetic import default_root

        data_root(default_root())
    elif value is not None:
        data_root(None if value == "hub" else value)
