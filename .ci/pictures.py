"""The pictures that README shows of the terminal and of the page: `python .ci/pictures.py`, with Debian's chromium.

The terminal's is what README's first command prints, trained here; the page's is of all references. Both are written
to .github, in few colours.
"""

import base64
import html
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "showing"))

from browser import Browser  # noqa: E402  (the tests' own)

COLOURS = 64
LINK = "#experiment=headline&task=mul&range=positive&model=mlp_tanh&model=mlp_relu&model=nac&model=nalu"
WIDTH, HEIGHT = 1100, 1180  # of the page's part that is shown
TERMINAL = """<!doctype html><meta charset="utf-8"><body style="margin:0;background:#1b1f24">
<pre id="all" style="margin:0;padding:18px 22px;display:inline-block;color:#e6e8eb;
font:13px/1.45 'DejaVu Sans Mono',monospace">{}</pre></body>"""


def first_command() -> str:
    """The command that README begins with."""
    found = re.search(r"python -m benchmark \+model=\S+ \+task=\S+", (ROOT / "README.md").read_text())
    if not found:
        sys.exit("README.md shows no command of the kind python -m benchmark +model=… +task=…")
    return found[0]


def take(browser: Browser, url: str, ready: str, size: tuple[int, int] | None, path: Path) -> None:
    """A picture of an address once an expression is true; of the element `all` where no size is given."""
    browser.call("Page.navigate", url=url)
    browser.until(f"document.readyState === 'complete' && !!({ready})", 120)
    if size is None:
        size = browser("(() => { const box = all.getBoundingClientRect(); return [box.width, box.height]; })()")
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1.5}
    taken = browser.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
    image = Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


def main() -> None:
    """Both pictures, or those of the names given: terminal, page."""
    wanted = sys.argv[1:] or ["terminal", "page"]
    with tempfile.TemporaryDirectory() as scratch:
        folder, browser = Path(scratch), None
        try:
            browser = Browser(folder)
            browser.window(WIDTH, HEIGHT)
            if "terminal" in wanted:
                command = first_command()
                told = [sys.executable, *command.split()[1:], f"results={folder / 'results' / 'default'}"]
                printed = subprocess.run(told, cwd=ROOT, check=True, capture_output=True, text=True).stdout
                lines = [f"$ {command}", *printed.replace(f"{folder}/", "").splitlines()]
                (folder / "terminal.html").write_text(TERMINAL.format(html.escape("\n".join(lines))))
                where = (folder / "terminal.html").as_uri()
                take(browser, where, "document.getElementById('all')", None, ROOT / ".github" / "terminal.png")
            if "page" in wanted:
                told = [sys.executable, "-m", "benchmark.page", "--output", str(folder / "page.html")]
                subprocess.run(told, cwd=ROOT, check=True)
                ready = "document.documentElement.dataset.shown"
                where = (folder / "page.html").as_uri() + LINK
                take(browser, where, ready, (WIDTH, HEIGHT), ROOT / ".github" / "page.png")
        finally:
            if browser:
                browser.close()


if __name__ == "__main__":
    main()
