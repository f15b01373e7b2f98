import errno
import functools
import gc
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from upath import UPath

from movierank_core.data.timestamps import epoch_seconds
from movierank_core.errors import DataError
from movierank_core.recommender.state import RankingState, fit_state
from movierank_pipeline.artifacts import DatasetFacts, StoredRatings
from movierank_pipeline.defs.io_managers import FolderIOManager, ParquetIOManager
from tests.support.simulated import CONFIG, SimulatedRatings


class Fact:
    """A fitted thing of two files."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "one.txt").write_text(self.text)
        if self.text == "too long for the disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        (folder / "two.txt").write_text(self.text)

    @classmethod
    def load(cls, folder: Path) -> "Fact":
        return cls((folder / "one.txt").read_text() + (folder / "two.txt").read_text())


def output(name: str) -> dg.OutputContext:
    return dg.build_output_context(asset_key=dg.AssetKey(name))


@functools.cache
def input_of(name: str, kind: type) -> dg.InputContext:
    return dg.build_input_context(
        asset_key=dg.AssetKey(name),
        upstream_output=output(name),
        dagster_type=dg.PythonObjectDagsterType(kind),
    )


@pytest.fixture(scope="module", autouse=True)
def contexts_finalized_here() -> Iterator[None]:
    """Dagster's contexts close their instances when collected: not in the middle of other tests.

    A context takes a fifth of a second to make, so inputs of one asset share one.
    """
    yield
    input_of.cache_clear()
    gc.collect()


@pytest.fixture
def tables(tmp_path: Path) -> ParquetIOManager:
    return ParquetIOManager(UPath(tmp_path))


@pytest.fixture
def folders(tmp_path: Path) -> FolderIOManager:
    return FolderIOManager(UPath(tmp_path))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_table_comes_back_with_its_types(tables: ParquetIOManager, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"at": [1, None], "names": [["a"], []]},
        schema={"at": pl.Datetime("us", "UTC"), "names": pl.List(pl.String)},
    )
    tables.handle_output(output("facts"), frame)
    assert tables.load_input(input_of("facts", pl.DataFrame)).equals(frame)
    assert names(tmp_path) == ["facts.parquet"]


def test_a_full_disk_leaves_the_old_table_and_nothing_else(
    tables: ParquetIOManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = pl.DataFrame({"a": [1]})
    tables.handle_output(output("facts"), old)

    def half_written(frame: pl.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(pl.DataFrame, "write_parquet", half_written)
        with pytest.raises(OSError, match="No space left on device"):
            tables.handle_output(output("facts"), pl.DataFrame({"a": [2]}))
    assert tables.load_input(input_of("facts", pl.DataFrame)).equals(old)
    assert names(tmp_path) == ["facts.parquet"]


def test_a_full_disk_leaves_the_old_folder_and_nothing_else(folders: FolderIOManager, tmp_path: Path) -> None:
    folders.handle_output(output("fitted"), Fact("old"))
    with pytest.raises(OSError, match="No space left on device"):
        folders.handle_output(output("fitted"), Fact("too long for the disk"))
    assert folders.load_input(input_of("fitted", Fact)).text == "oldold"
    assert names(tmp_path) == ["fitted"]


def test_a_folder_is_replaced_as_a_whole(folders: FolderIOManager, tmp_path: Path) -> None:
    folders.handle_output(output("fitted"), Fact("old"))
    (tmp_path / "fitted" / "stray.txt").write_text("from another version")
    folders.handle_output(output("fitted"), Fact("new"))
    assert folders.load_input(input_of("fitted", Fact)).text == "newnew"
    assert names(tmp_path / "fitted") == ["one.txt", "two.txt"]


def test_an_asset_that_was_never_written_is_named(tables: ParquetIOManager, tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        tables.load_input(input_of("ratings", pl.DataFrame))
    assert str(refused.value) == (
        f"The asset ratings is missing: {tmp_path}/ratings.parquet does not exist."
        " Remedy: materialise ratings first: `movierank materialize --select ratings`"
    )


def test_a_damaged_asset_is_named(tables: ParquetIOManager, folders: FolderIOManager, tmp_path: Path) -> None:
    (tmp_path / "ratings.parquet").write_bytes(b"PAR1")
    (tmp_path / "ranker").mkdir()
    with pytest.raises(DataError, match=r"The asset ratings in .* cannot be read"):
        tables.load_input(input_of("ratings", pl.DataFrame))
    with pytest.raises(DataError, match=r"The asset ranker in .* cannot be read"):
        folders.load_input(input_of("ranker", Fact))


@pytest.mark.parametrize("size", [0, 20])
def test_whichever_file_of_a_folder_is_cut_short_the_asset_is_named(
    folders: FolderIOManager, tmp_path: Path, simulated: SimulatedRatings, size: int
) -> None:
    last = int(simulated.interactions.select(epoch_seconds("timestamp")).to_series().max())  # type: ignore[arg-type]
    stored = {
        "ratings": StoredRatings(simulated.ratings, DatasetFacts(name="tiny", ratings_are_simulated=True)),
        "retrievers": fit_state(simulated.data, simulated.catalogue, last + 1, CONFIG),
    }
    kinds = {"ratings": StoredRatings, "retrievers": RankingState}
    for name, value in stored.items():
        folders.handle_output(output(name), value)
        files = [path for path in (tmp_path / name).iterdir() if path.is_file()]
        assert len(files) > 1
        for file in files:
            whole = file.read_bytes()
            file.write_bytes(whole[:size])
            with pytest.raises(DataError) as refused:
                folders.load_input(input_of(name, kinds[name]))
            assert str(refused.value).startswith(f"The asset {name} in {tmp_path}/{name} cannot be read: ")
            assert str(refused.value).endswith(
                "Expected: the files of its last materialisation."
                f" Remedy: materialise it again: `movierank materialize --select {name}`"
            )
            file.write_bytes(whole)
        folders.load_input(input_of(name, kinds[name]))
