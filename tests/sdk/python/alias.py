"""With `--tool-alias`, the notebook's own tool type works as it stands."""

from notebook import UNKNOWN, analyze

analyze(UNKNOWN)
