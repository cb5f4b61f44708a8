import os
import pathlib
import sys

notes = pathlib.Path(sys.argv[1]).read_text()
decisions = [line.split(":", 1)[1].strip() for line in notes.splitlines() if line.startswith("DECIDED:")]
text = "".join(f"{number}. {decision}\n" for number, decision in enumerate(decisions, 1))
pathlib.Path(os.environ["OUTPUT_DIR"], "minutes.txt").write_text(text)
print(len(decisions), "decisions")
