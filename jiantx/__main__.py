"""`python -m jiantx` is the command `jiantx`."""

import sys

from jiantx.command import main

sys.exit(main())
