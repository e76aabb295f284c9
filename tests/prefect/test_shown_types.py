"""What docs/prefect.md shows in Python, and no test runs, is type-checked: imports, names and arguments are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Prefect says of `load` that it may be a coroutine, and takes text for a secret; `...` stands for what is left out.
OF_PREFECT = ("[union-attr]", "[arg-type]", "[empty-body]")


def test_what_is_only_shown_is_type_checked(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "prefect.md").read_text(encoding="utf-8")
    shown = [
        block for marked, block in re.findall(r"(<!-- run.*? -->\n)?```python\n(.*?)```", text, re.S) if not marked
    ]
    assert len(shown) > 3
    for number, block in enumerate(shown):
        (tmp_path / f"shown_{number}.py").write_text(block, encoding="utf-8")
    # In the repository's folder, with its settings, as the check of our own types: its cache is good for this one.
    command = [sys.executable, "-m", "mypy", "--no-color-output", *sorted(map(str, tmp_path.glob("*.py")))]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert told.stdout, told.stderr
    errors = [line for line in told.stdout.splitlines() if ": error: " in line and not line.endswith(OF_PREFECT)]
    assert errors == []
