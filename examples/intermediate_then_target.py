r"""The recipe of Phang et al. 2020 (arXiv 2005.13013): intermediate tasks, then target tasks.

    # a small artificial world, in minutes
    python examples/intermediate_then_target.py

    # what the paper's table would cost, without running it
    python examples/intermediate_then_target.py --preset paper --encoder xlm-roberta-large \
        --data-root hub --plan

`jiantx recipe` is the same program. `--help` explains its rows and flags, and
`jiantx/experiments/recipe_program.py` is what it does, step by step.
"""

from __future__ import annotations

import sys

import jiantx as jx

if __name__ == "__main__":
    try:
        jx.experiments.run_recipe(sys.argv[1:], program=f"python {sys.argv[0]}")
    except jx.DataError as error:
        sys.exit(f"error: {error}")
