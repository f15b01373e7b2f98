"""Fetching a data set from a GroupLens that misbehaves."""

import hashlib
import io
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from movierank_core.errors import DataError
from movierank_pipeline.ingest.movielens.archive import extract_safely
from movierank_pipeline.ingest.movielens.byte_progress import byte_progress_bar
from movierank_pipeline.ingest.movielens.download import RetryPolicy, fetch_dataset, is_grouplens_reachable
from tests.support.http_server import Answer, Seen, serve
from tests.support.waiting import ends

AT_ONCE = RetryPolicy(attempts=3, first_pause_seconds=0.0)
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"1,{n},3.5,{n * 7919 % 99991}\n" for n in range(40_000)
)
BY_HAND = "or fetch and extract it yourself and give its folder with `--data-dir`"


def zip_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


ARCHIVE = zip_of({"ml-latest-small/ratings.csv": RATINGS, "ml-latest-small/README.txt": "Summary"})


class GroupLens:
    """Serves `archive`; knows ranges unless told otherwise; cuts the first `n_cuts` bodies in half."""

    def __init__(
        self,
        archive: bytes = ARCHIVE,
        *,
        md5: str | None = None,
        knows_ranges: bool = True,
        n_cuts: int = 0,
        cut_after: int | None = None,
        etag: str = '"one"',
    ) -> None:
        self.archive, self.knows_ranges, self.n_cuts, self.etag = archive, knows_ranges, n_cuts, etag
        self.cut_after = cut_after
        self.md5 = md5 or hashlib.md5(archive).hexdigest()

    def __call__(self, request: Seen) -> Answer:
        if request.path == "/ml-latest-small.zip.md5":
            return Answer(body=f"MD5 (ml-latest-small.zip) = {self.md5}\n".encode())
        if request.path != "/ml-latest-small.zip":
            return Answer(404, b"no")
        body, status, headers = self.archive, 200, {"ETag": self.etag}
        wanted = request.headers.get("Range")
        if wanted and self.knows_ranges and request.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return Answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        if self.n_cuts > 0:
            self.n_cuts -= 1
            cut_after = len(body) // 2 if self.cut_after is None else self.cut_after
            return Answer(status, body, headers, cut_after=cut_after)
        return Answer(status, body, headers)


def archive_requests(paths: list[str]) -> int:
    return paths.count("/ml-latest-small.zip")


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fetch_error(
    answer: Callable[[Seen], Answer], folder: Path, name: str = "ml-latest-small"
) -> tuple[str, str]:
    with serve(answer) as server, pytest.raises(DataError) as caught:
        fetch_dataset(name, folder, base_url=server.url, retries=AT_ONCE)
    return str(caught.value), server.url


def test_dataset_is_fetched_put_in_place_and_reused(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    with serve(GroupLens()) as server:
        folder = fetch_dataset(
            "ml-latest-small",
            tmp_path,
            base_url=server.url,
            progress=lambda *step: steps.append(step),
            retries=AT_ONCE,
        )
        assert folder == tmp_path / "ml-latest-small"
        assert (folder / "ratings.csv").read_text() == RATINGS
        assert left_in(tmp_path) == [
            ".downloads",
            "ml-latest-small",
            "ml-latest-small/README.txt",
            "ml-latest-small/ratings.csv",
        ]
        n_requests = len(server.seen)
        assert fetch_dataset("ml-latest-small", tmp_path, base_url=server.url) == folder
        assert len(server.seen) == n_requests
    assert ("downloading ml-latest-small.zip", len(ARCHIVE), len(ARCHIVE)) in steps
    total = len(RATINGS) + len("Summary")
    assert steps[-1] == ("extracting ml-latest-small.zip", total, total)


def test_address_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(GroupLens()) as server:
        monkeypatch.setenv("MOVIERANK_GROUPLENS_URL", server.url + "/")
        assert fetch_dataset("ml-latest-small", tmp_path, retries=AT_ONCE).is_dir()


def test_cut_body_is_gone_on_from_where_it_ended(tmp_path: Path) -> None:
    with serve(GroupLens(n_cuts=2)) as server:
        folder = fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE)
    assert (folder / "ratings.csv").read_text() == RATINGS
    ranges = [request.headers.get("Range") for request in server.seen if request.path.endswith(".zip")]
    half = len(ARCHIVE) // 2
    assert ranges == [None, f"bytes={half}-", f"bytes={half + (len(ARCHIVE) - half) // 2}-"]


def test_a_later_run_goes_on_from_what_an_earlier_one_left(tmp_path: Path) -> None:
    grouplens = GroupLens(n_cuts=1)
    with serve(grouplens) as server:
        with pytest.raises(DataError):
            fetch_dataset(
                "ml-latest-small",
                tmp_path,
                base_url=server.url,
                retries=RetryPolicy(1, first_pause_seconds=0),
            )
        assert (tmp_path / ".downloads" / "ml-latest-small.zip.part").stat().st_size == len(ARCHIVE) // 2
        fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE)
    assert server.seen[-1].headers["Range"] == f"bytes={len(ARCHIVE) // 2}-"


def test_server_without_ranges_starts_over(tmp_path: Path) -> None:
    with serve(GroupLens(knows_ranges=False, n_cuts=1)) as server:
        folder = fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE)
    assert (folder / "ratings.csv").read_text() == RATINGS
    assert archive_requests(server.paths()) == 2


def test_part_of_a_file_that_has_changed_since_is_not_gone_on_from(tmp_path: Path) -> None:
    with serve(GroupLens(b"x" * 10_000, n_cuts=1)) as server, pytest.raises(DataError):
        fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=RetryPolicy(1))
    with serve(GroupLens(etag='"two"')) as server:
        folder = fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE)
    assert (folder / "ratings.csv").read_text() == RATINGS
    assert server.seen[-1].headers.get("Range") is None


def test_damaged_part_is_thrown_away_and_the_file_fetched_anew(tmp_path: Path) -> None:
    with serve(GroupLens(n_cuts=1)) as server, pytest.raises(DataError):
        fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=RetryPolicy(1))
    part = tmp_path / ".downloads" / "ml-latest-small.zip.part"
    part.write_bytes(b"\0" * part.stat().st_size)
    with serve(GroupLens()) as server:
        folder = fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE)
    assert (folder / "ratings.csv").read_text() == RATINGS
    assert archive_requests(server.paths()) == 2


def test_whole_part_needs_no_second_body(tmp_path: Path) -> None:
    with serve(GroupLens(n_cuts=1)) as server:
        with pytest.raises(DataError):
            fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=RetryPolicy(1))
        (tmp_path / ".downloads" / "ml-latest-small.zip.part").write_bytes(ARCHIVE)
        assert fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE).is_dir()


def test_server_that_always_breaks_off_at_once_is_given_up(tmp_path: Path) -> None:
    message, url = fetch_error(GroupLens(n_cuts=99, cut_after=0), tmp_path)
    assert message == (
        f"{url}/ml-latest-small.zip cannot be downloaded after 3 attempts (it broke off). "
        f"Remedy: check the network, {BY_HAND}"
    )


def test_server_errors_are_tried_again_then_given_up(tmp_path: Path) -> None:
    answers = iter([Answer(503), Answer(500)])

    def answer(request: Seen) -> Answer:
        return next(answers, None) or GroupLens()(request)

    with serve(answer) as server:
        assert fetch_dataset("ml-latest-small", tmp_path, base_url=server.url, retries=AT_ONCE).is_dir()
    message, url = fetch_error(lambda _: Answer(503), tmp_path / "other")
    assert message == (
        f"{url}/ml-latest-small.zip.md5 cannot be downloaded after 3 attempts (status 503). "
        f"Remedy: check the network, {BY_HAND}"
    )


def test_wrong_md5(tmp_path: Path) -> None:
    message, url = fetch_error(GroupLens(md5="0" * 32), tmp_path)
    assert message == (
        f"{url}/ml-latest-small.zip came with the md5 checksum {hashlib.md5(ARCHIVE).hexdigest()}. "
        f"Expected: {'0' * 32}, as published beside it. Remedy: run the same command again, {BY_HAND}"
    )
    assert left_in(tmp_path) == [".downloads"]


def test_md5_file_without_an_md5(tmp_path: Path) -> None:
    message, url = fetch_error(GroupLens(md5="soon"), tmp_path)
    assert message == (
        f"{url}/ml-latest-small.zip.md5 holds no md5 checksum. Expected: 32 hexadecimal digits. "
        f"Remedy: try later, {BY_HAND}"
    )


def test_not_found(tmp_path: Path) -> None:
    message, url = fetch_error(GroupLens(), tmp_path, "ml-32m")
    assert message == (
        f"{url}/ml-32m.zip.md5 answers with status 404. Expected: status 200. "
        f"Remedy: check MOVIERANK_GROUPLENS_URL if you have set it, {BY_HAND}"
    )


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch_dataset("ml-64m", tmp_path)
    assert str(caught.value) == (
        "There is no data set 'ml-64m'. Expected: one of ml-latest-small, ml-latest, ml-32m, ml-25m, ml-20m, "
        "ml-10m, ml-1m, ml-100k."
    )


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[: len(whole) // 2], lambda whole: whole[:200] + b"\0" * 50 + whole[250:]]
)
def test_corrupt_zip_leaves_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    message, _ = fetch_error(GroupLens(damage(ARCHIVE)), tmp_path)
    archive = tmp_path / ".downloads" / "ml-latest-small.zip"
    assert message.startswith(f"{archive} is not a whole zip archive (")
    assert message.endswith(
        "). Expected: a zip archive. "
        "Remedy: delete it and download it again; should it happen again, do not trust its source."
    )
    assert left_in(tmp_path) == [".downloads"]


def test_zip_without_ratings_leaves_nothing(tmp_path: Path) -> None:
    message, _ = fetch_error(GroupLens(zip_of({"ml-latest-small/README.txt": "hello"})), tmp_path)
    assert "has no ratings in it" in message
    assert left_in(tmp_path) == [".downloads"]


def test_folder_that_is_there_but_empty_is_not_taken_for_the_data(tmp_path: Path) -> None:
    (tmp_path / "ml-latest-small").mkdir()
    with pytest.raises(DataError, match=r"has no ratings in it: it is empty\."):
        fetch_dataset("ml-latest-small", tmp_path)


def link_in_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("ml/ratings.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


REMEDY = "Remedy: delete it and download it again; should it happen again, do not trust its source."


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "ml/../../evil.txt", "C:/evil.txt", "..\\evil"]
)
def test_path_that_leaves_the_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "bad.zip"
    archive.write_bytes(zip_of({"ml/ratings.csv": RATINGS, name: "evil"}))
    with pytest.raises(DataError) as caught:
        extract_safely(archive, tmp_path / "inner" / "out")
    assert str(caught.value) == (
        f"{archive} holds the path {name!r}, which leaves the folder it is extracted to. "
        f"Expected: paths below that folder. {REMEDY}"
    )
    assert left_in(tmp_path) == ["bad.zip", "inner"]


def test_link_in_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    archive.write_bytes(link_in_zip())
    with pytest.raises(DataError) as caught:
        extract_safely(archive, tmp_path / "out")
    assert str(caught.value) == (
        f"{archive} holds 'ml/ratings.csv', which is a link or a device. "
        f"Expected: files and folders. {REMEDY}"
    )


def test_file_twice_in_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    archive.write_bytes(zip_of({"a.txt": "1", "./a.txt": "2"}))
    with pytest.raises(DataError, match=r"bad\.zip holds '\./a\.txt' twice\. Expected: each file once\."):
        extract_safely(archive, tmp_path / "out")


def test_archive_that_grows_beyond_bounds(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    archive.write_bytes(zip_of({"zeros": "0" * 3_000_000}))
    with pytest.raises(DataError) as caught:
        extract_safely(archive, tmp_path / "out")
    assert str(caught.value) == (
        f"{archive} would extract to 3,000,000 bytes. Expected: at most 1,048,576. {REMEDY}"
    )
    assert not (tmp_path / "out").exists()


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "good.zip"
    archive.write_bytes(ARCHIVE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError) as caught:
        extract_safely(archive, tmp_path / "out")
    assert str(caught.value) == (
        f"The disk that holds {tmp_path / 'out'} is full. Remedy: make room, or choose another folder."
    )
    assert not (tmp_path / "out").exists()


def shown_by_bar(is_terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=100)
    with byte_progress_bar(console) as report:
        report("downloading x.zip", 50, 100)
        report("downloading x.zip", 100, 100)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_progress_bar_is_drawn_on_a_terminal_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_by_bar(is_terminal=True) == ""
    monkeypatch.setattr("movierank_pipeline.ingest.movielens.byte_progress._PATIENCE_SECONDS", -1.0)
    assert "downloading x.zip" in shown_by_bar(is_terminal=True)
    assert shown_by_bar(is_terminal=False) == ""


def test_reachability() -> None:
    with serve(GroupLens()) as server:
        assert is_grouplens_reachable(3.0, server.url)
        assert not is_grouplens_reachable(3.0, server.url + "/elsewhere")
    assert not is_grouplens_reachable(3.0, server.url)


def test_server_that_never_answers_is_unreachable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not ends(lambda: is_grouplens_reachable(0.2, url))
