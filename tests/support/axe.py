"""axe-core, Deque's accessibility checker (MPL-2.0), for tests only; pinned in tests/browser."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.missing import skip_without

FOLDER: Final = Path(__file__).resolve().parents[1] / "browser"
SCRIPT: Final = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
"""Not under version control. npm checks its hash when it installs it."""
SERIOUS: Final = ("serious", "critical")

RUN: Final = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.slice(0, 4).map(({ html, failureSummary }) =>
      `${html.slice(0, 160)} ${failureSummary.replaceAll(/\\s+/g, " ").slice(0, 200)}`) }));
}"""


@cache
def axe_source() -> str:
    """The script; skips the test with the reason where npm cannot install it."""
    if not SCRIPT.is_file():
        npm = shutil.which("npm")
        if npm is None:
            skip_without("npm", "install Node.js; npm installs axe-core, which checks accessibility")
        done = subprocess.run([npm, "ci", "--silent"], cwd=FOLDER, capture_output=True, text=True)
        if done.returncode:
            skip_without(
                "axe-core", f"run `npm ci` in tests/browser, which said: {done.stderr[-300:].strip()}"
            )
    return SCRIPT.read_text("utf-8")


def serious_violations(page: Page) -> list[dict[str, Any]]:
    """The violations on the page as it is that axe-core calls serious or critical."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(axe_source())
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [violation for violation in found if violation["impact"] in SERIOUS]
