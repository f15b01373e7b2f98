"""What people are told while TMDB is asked."""

from movierank_pipeline.ingest.tmdb.progress import AskProgress, ProgressLines


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(is_terminal: bool, n_done: int) -> list[str]:
    """Eight movies a second out of a thousand, one in ten gone, one in a hundred failed."""
    clock, lines = Clock(), list[str]()
    report = ProgressLines(lines.append, is_terminal=is_terminal, clock=clock)
    for done in range(1, n_done + 1):
        clock.now += 0.125
        report(AskProgress(1_000, done - done // 10 - done // 100, done // 10, done // 100))
    return lines


def test_lines_now_and_then_with_rate_remaining_time_and_counts() -> None:
    assert run(is_terminal=False, n_done=250) == [
        "120 of 1,000 movies, 8.0/s, 1 min 50 s left; 107 found, 12 gone, 1 failed",
        "240 of 1,000 movies, 8.0/s, 1 min 35 s left; 214 found, 24 gone, 2 failed",
    ]


def test_bar_on_a_terminal_and_a_last_line() -> None:
    lines = run(is_terminal=True, n_done=1_000)
    assert len(lines) == 63
    assert lines[24] == (
        "[#########···············] 400 of 1,000 movies, 8.0/s, 1 min 15 s left; 356 found, 40 gone, 4 failed"
    )
    assert lines[-1] == (
        "[########################] 1,000 of 1,000 movies, 8.0/s; 890 found, 100 gone, 10 failed"
    )


def test_hours_are_said() -> None:
    clock, lines = Clock(), list[str]()
    report = ProgressLines(lines.append, is_terminal=False, clock=clock)
    clock.now += 20
    report(AskProgress(86_000, 20, 0, 0))
    assert lines == ["20 of 86,000 movies, 1.0/s, 23 h 53 min left; 20 found, 0 gone, 0 failed"]
