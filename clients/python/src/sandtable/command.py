"""The command ``sandtable`` where the program did not come with the wheel: it runs the one there is, or says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from .binary import find_binary
from .errors import NotFoundError


def main() -> NoReturn:
    try:
        program = str(find_binary())
    except NotFoundError as error:
        print(f"sandtable: {error}", file=sys.stderr)
        raise SystemExit(127) from None
    arguments = [program, *sys.argv[1:]]
    if os.name == "posix":
        os.execv(program, arguments)
    # Elsewhere `exec` would give the prompt back while the program still runs.
    raise SystemExit(subprocess.run(arguments, check=False).returncode)


if __name__ == "__main__":
    main()
