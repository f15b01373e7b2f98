"""Files and folders appear whole or not at all, whatever happens to their writer."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from movierank_core.atomic import SUFFIX, atomic_write, delete_leftovers
from tests.support.waiting import exit_code, join


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(target: Path, text: str) -> None:
    with atomic_write(target) as folder:
        folder.mkdir()
        for name in ("one", "two", "three"):
            (folder / name).write_text(text)


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_file_and_a_folder_are_replaced_as_a_whole(tmp_path: Path, is_durable: bool) -> None:
    for text in ("old", "new"):
        with atomic_write(tmp_path / "below" / "file", is_durable=is_durable) as file:
            file.write_text(text)
        with atomic_write(tmp_path / "below" / "folder", is_durable=is_durable) as folder:
            folder.mkdir()
            (folder / text).write_text(text)
    assert (tmp_path / "below" / "file").read_text() == "new"
    assert names(tmp_path / "below" / "folder") == ["new"]
    assert names(tmp_path / "below") == ["file", "folder"]


def test_until_the_end_the_target_is_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with atomic_write(target) as file:
        file.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_target_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "folder"
    write_folder(target, "old")

    def fail_half_way() -> None:
        with atomic_write(target) as folder:
            folder.mkdir()
            (folder / "one").write_text("new")
            raise error

    with pytest.raises(type(error)):
        fail_half_way()
    assert [path.read_text() for path in target.iterdir()] == ["old"] * 3
    assert names(tmp_path) == ["folder"]


def test_a_failed_rename_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("movierank_core.atomic.os.replace", refuse)
    with pytest.raises(OSError, match="Input/output error"), atomic_write(tmp_path / "file") as file:
        file.write_text("new")
    assert names(tmp_path) == []


def test_a_failed_rename_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "folder"
    write_folder(target, "old")
    replace = os.replace

    def refuse_new(source: Path, destination: Path) -> None:
        if source.name == destination.name == "folder":
            raise OSError(errno.EIO, "Input/output error")
        replace(source, destination)

    monkeypatch.setattr("movierank_core.atomic.os.replace", refuse_new)
    with pytest.raises(OSError, match="Input/output error"):
        write_folder(target, "new")
    assert [path.read_text() for path in target.iterdir()] == ["old"] * 3
    assert names(tmp_path) == ["folder"]


def test_two_writers_at_once_never_mix(tmp_path: Path) -> None:
    """Neither sees the other's files, and the last to end wins."""
    target = tmp_path / "folder"
    with atomic_write(target) as first, atomic_write(target) as second:
        assert first != second
        for folder, text in ((first, "first"), (second, "second")):
            folder.mkdir()
            (folder / text).write_text(text)
    assert names(target) == ["first"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_of_another_writer_that_comes_and_goes_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    write_folder(target, "old")
    replace = os.replace
    failures = [OSError(errno.ENOTEMPTY, "Directory not empty")]

    def meet_another_once(source: Path, destination: Path) -> None:
        if destination == target and failures:
            raise failures.pop()
        replace(source, destination)

    monkeypatch.setattr("movierank_core.atomic.os.replace", meet_another_once)
    write_folder(target, "new")
    assert [path.read_text() for path in target.iterdir()] == ["new"] * 3
    assert names(tmp_path) == ["folder"]


def test_many_writers_of_one_folder_leave_one_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    errors: list[BaseException] = []

    def write_often(writer: int) -> None:
        try:
            for round_ in range(25):
                write_folder(target, f"{writer}.{round_}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write_often, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    join(threads)
    assert errors == []
    assert names(target) == ["one", "three", "two"]
    assert len({path.read_text() for path in target.iterdir()}) == 1
    assert names(tmp_path) == ["folder"]


KILLED = """
import sys, time
from pathlib import Path
from movierank_core.atomic import atomic_write

with atomic_write(Path(sys.argv[1])) as file:
    file.write_text("half")
    print("writing", flush=True)
    time.sleep(3600)
"""


def test_the_next_write_cleans_up_after_a_kill_and_spares_running_writers(tmp_path: Path) -> None:
    target = tmp_path / "facts.parquet"
    target.write_text("old")
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    delete_leftovers(tmp_path)
    [running] = tmp_path.glob(f".*{SUFFIX}")
    os.kill(writer.pid, signal.SIGKILL)
    exit_code(writer)
    writer.stdout.close()
    assert running.is_dir()
    assert target.read_text() == "old"
    with atomic_write(tmp_path / "another") as file:
        file.write_text("new")
    assert names(tmp_path) == ["another", "facts.parquet"]


def test_the_hidden_folders_of_other_programs_stay(tmp_path: Path) -> None:
    (tmp_path / ".theirs.partial").mkdir()
    with atomic_write(tmp_path / "file") as file:
        file.write_text("new")
    assert names(tmp_path) == [".theirs.partial", "file"]
