"""Where the files of an installation are, and what is refused."""

from pathlib import Path

import pytest

from movierank_core.errors import ConfigError
from movierank_core.paths import Paths


@pytest.mark.parametrize("below", ["", "deeper/still"])
@pytest.mark.parametrize("variable", ["MOVIERANK_ROOT", "MOVIERANK_HOME"])
def test_a_file_in_the_place_of_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str
) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path))
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(variable, str(file / below))
    with pytest.raises(ConfigError) as refusal:
        Paths.from_environment()
    assert str(refusal.value) == (
        f"{file} is no folder. Expected: a folder, since {variable} is {file / below}. "
        f"Remedy: set {variable} to another folder."
    )


def test_a_folder_that_is_missing_yet_is_none_of_its_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOVIERANK_ROOT", str(tmp_path / "new"))
    monkeypatch.delenv("MOVIERANK_HOME", raising=False)
    assert Paths.from_environment().home == tmp_path / "new" / ".movierank"
    assert not (tmp_path / "new").exists()
