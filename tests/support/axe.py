"""axe-core, Deque's accessibility checker (MPL-2.0): fetched once, pinned, used by tests only."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

VERSION: Final = "4.14.1"
INTEGRITY: Final = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""SHA-512 of the package, in base64, as the registry states it."""
FOLDER: Final = Path(__file__).resolve().parents[1] / "browser" / ".axe"
"""Not under version control."""
SERIOUS: Final = ("serious", "critical")

RUN: Final = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, nodes: nodes.slice(0, 4).map(({ html, failureSummary }) =>
      `${html.slice(0, 160)} ${failureSummary.replaceAll(/\\s+/g, " ").slice(0, 200)}`) }));
}"""


@cache
def axe_source() -> str:
    """The script; skips the test, saying why, where it cannot be had."""
    package = FOLDER / f"axe-core-{VERSION}.tgz"
    if not package.is_file():
        _fetch(package)
    content = package.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    assert found == INTEGRITY, f"{package} is not axe-core {VERSION}: its SHA-512 is {found}; delete it"
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def _fetch(package: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is fetched with npm, which is not on the path")
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        try:
            subprocess.run(
                [npm, "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", folder],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=60,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm cannot fetch axe-core {VERSION}: {error}")
        Path(folder, package.name).rename(package)


def serious_violations(page: Page) -> list[dict[str, Any]]:
    """What axe-core calls serious or critical on the page as it is."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(axe_source())
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [violation for violation in found if violation["impact"] in SERIOUS]
