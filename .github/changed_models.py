"""Print MODELS=<names with commas between>: whose yaml, or whose class's file, is not what it was at a commit."""

import re
import subprocess
import sys
from pathlib import Path

changed = subprocess.run(
    ["git", "diff", "--name-only", "--diff-filter=d", f"{sys.argv[1]}...HEAD"],
    capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
models = []
for path in sorted(Path("conf/model").glob("*.yaml")):
    text = path.read_text(encoding="utf-8")
    unit = re.search(r"^unit: (benchmark\.units\.\w+)\.\w+$", text, re.MULTILINE)
    files = {path.as_posix(), *([f"{unit[1].replace('.', '/')}.py"] if unit else [])}
    if text.startswith("# @package model.") and files & set(changed):
        models.append(path.stem)
print(f"MODELS={','.join(models)}")
