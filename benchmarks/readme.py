"""Runs the demo and puts what it prints, and its picture, into the README.

python benchmarks/readme.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bitfront.log import read
from bitfront.metric import Metric
from bitfront.report.plot import front_svg

ROOT = Path(__file__).resolve().parents[1]
TITLE = "Digits, small CNN: accuracy against size, 200 candidates"


def photograph(page: Path, picture: Path) -> None:
    """The page's upper part as a PNG, where there is a chromium."""
    browser = shutil.which("chromium")
    if browser is None:
        print("no chromium here: the picture of the report stays as it is")
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,1250"]
    subprocess.run(
        [browser, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True
    )


def main() -> None:
    """Search the digits, then rewrite the marked block of the README and docs/images/digits-front.svg."""
    bitfront = Path(sys.executable).with_name("bitfront")
    recipe = str(ROOT / "examples/digits.toml")
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "runs/digits"
        subprocess.run([bitfront, "train", "--quiet", recipe], cwd=ROOT, check=True)
        search = [bitfront, "search", recipe, "--quiet", "--run", "runs/digits"]
        environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
        printed = subprocess.run(
            search, cwd=directory, check=True, capture_output=True, text=True, env=environment
        )
        document = json.loads((run / "front.json").read_text(encoding="utf-8"))
        trials = [trial.values for trial in read(run / "trials.jsonl").trials if trial.values]
        photograph(run / "report.html", ROOT / "docs/images/digits-report.png")
    picture = front_svg(
        document, trials, Metric("size", "bytes", "min"), Metric("accuracy", "fraction", "max"), TITLE
    )
    (ROOT / "docs/images/digits-front.svg").write_text(picture, encoding="utf-8")
    lines = [line.rstrip() for line in printed.stdout.splitlines()]
    text = "\n".join(line for line in lines if not line.startswith("The run lies"))
    readme = ROOT / "README.md"
    block = f"<!-- demo -->\n```text\n{text.strip()}\n```\n<!-- /demo -->"
    found = readme.read_text(encoding="utf-8")
    readme.write_text(
        re.sub(r"<!-- demo -->.*<!-- /demo -->", lambda _: block, found, flags=re.S), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
