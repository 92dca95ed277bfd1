"""The page of a run with 10,000 trials: how long it takes to make, how large it is, how quickly it opens.

Runs are made up, so that their size can be chosen; chromium opens the page if there is one. Prints a row for
each size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the made-up runs and the browser are those of the tests

from bitfront.report.page import page  # noqa: E402
from tests.report.browser import CHROMIUM, opened  # noqa: E402
from tests.report.pages import ACCURACY, BIT_OPS, SIZE, Made  # noqa: E402

READY = "Number(document.documentElement.dataset.ready)"
# Milliseconds until the change is on the screen, the slowest of ten times.
AXES = """(async () => { let most = 0; for (let n = 0; n < 10; n++) { const start = performance.now();
state.y = n % DATA.metrics.length; scatter(); await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
most = Math.max(most, performance.now() - start); } return most; })()"""
POINT = """(async () => { let most = 0; for (let n = 0; n < 10; n++) { const start = performance.now();
point(plotted[n * 7 % plotted.length]); await new Promise(r => requestAnimationFrame(() => setTimeout(r)));
most = Math.max(most, performance.now() - start); } return most; })()"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2000, 10_000])
    parser.add_argument("--layers", type=int, nargs="+", default=[8, 50, 200])
    arguments = parser.parse_args()
    print("| trials | sites | front | made in s | KiB | opens in ms | new axes ms | pointing ms |")
    print("|---|---|---|---|---|---|---|---|")
    for trials in arguments.trials:
        for layers in arguments.layers:
            print(_row(trials, layers), flush=True)


def _row(trials: int, layers: int) -> str:
    names = [f"encoder.layer.{n // 3}.{('query', 'key', 'value')[n % 3]}" for n in range(layers)]
    source = Made(trials, names, (ACCURACY, SIZE, BIT_OPS)).source()
    start = time.process_time()
    text = page(source)
    seconds = time.process_time() - start
    times = "no chromium | | |" if CHROMIUM is None else _opened(text)
    size = len(text.encode()) / 1024
    return f"| {trials:,} | {layers} | {len(source.front)} | {seconds:.2f} | {size:.0f} | {times}"


def _opened(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder, opened() as browser:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        browser.open(path)
        browser.open(path)  # the first page of a fresh browser also waits for the browser
        return " | ".join(f"{browser.run(script):.0f}" for script in (READY, AXES, POINT)) + " |"


if __name__ == "__main__":
    main()
