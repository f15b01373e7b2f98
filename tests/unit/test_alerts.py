"""One alert: what is sent, what is tried again, and what a log may show."""

import json
import logging
import socket
from datetime import UTC, datetime

import pytest

from movierank_core.errors import ConfigError
from movierank_pipeline import alerts
from movierank_pipeline.alerts import Alert, alert_url, post_alert, receiver_of
from movierank_pipeline.defs.alerts import shown_error
from tests.support.alert_receiver import SECRET, be_patient, nobody
from tests.support.http_server import Answer, serve

ALERT = Alert(kind="run_failed", title="A & B <failed>", detail="why", run_id="r1", dagster_url="http://d/r1")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    be_patient(monkeypatch)
    caplog.set_level(logging.DEBUG)


def address(url: str) -> str:
    return f"{url}/hooks/{SECRET}?key={SECRET}"


def test_an_alert_is_json_with_a_text_for_slack_and_plain_fields(caplog: pytest.LogCaptureFixture) -> None:
    with serve(lambda _: Answer()) as receiver:
        assert post_alert(address(receiver.url), ALERT)
    assert SECRET not in caplog.text
    (request,) = receiver.seen
    assert (request.method, request.path) == ("POST", f"/hooks/{SECRET}?key={SECRET}")
    assert request.headers["Content-Type"] == "application/json"
    body = json.loads(request.body)
    assert body.pop("text") == "movierank: A &amp; B &lt;failed&gt;\nwhy\nhttp://d/r1"
    assert datetime.fromisoformat(body.pop("at")).tzinfo == UTC
    assert body == {
        "kind": "run_failed",
        "title": "A & B <failed>",
        "detail": "why",
        "run_id": "r1",
        "dagster_url": "http://d/r1",
    }


def test_a_receiver_in_trouble_is_asked_again_and_the_alert_arrives_once() -> None:
    statuses = iter((503, 500, 200))
    with serve(lambda _: Answer(next(statuses))) as receiver:
        assert post_alert(address(receiver.url), ALERT)
    assert len({request.body for request in receiver.seen}) == 1
    assert len(receiver.seen) == 3


@pytest.mark.parametrize(
    ("answer", "n_attempts"),
    [(Answer(404), 1), (Answer(302, headers={"Location": "/"}), 1), (Answer(500), 3)],
)
def test_a_refusal_is_logged_without_the_secret(
    answer: Answer, n_attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(lambda _: answer) as receiver:
        assert not post_alert(address(receiver.url), ALERT)
    assert len(receiver.seen) == n_attempts
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"The alert run_failed was not delivered to {receiver.url}: status {answer.status}"]
    assert SECRET not in caplog.text


def test_a_receiver_that_is_away_raises_nothing_and_its_secret_is_in_no_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with nobody() as url:
        assert not post_alert(url.replace("//", f"//user:{SECRET}@"), ALERT)
    assert f"not delivered to {receiver_of(url)}: ConnectionError" in caplog.text
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_receiver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not post_alert(f"http://127.0.0.1:{silent.getsockname()[1]}/", ALERT)


def test_other_connections_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with serve(lambda _: Answer()) as receiver:
        post_alert(receiver.url, ALERT)
    logging.getLogger("urllib3.connectionpool").debug("another connection")
    assert "another connection" in caplog.text


def test_without_an_address_nothing_is_sent() -> None:
    assert alert_url({}) == ""
    assert not post_alert("", ALERT)


@pytest.mark.parametrize("url", ["https://hooks.example/T0", " http://127.0.0.1:9/x?y=z "])
def test_a_web_address_is_taken(url: str) -> None:
    assert alert_url({"MOVIERANK_ALERT_URL": url}) == url.strip()


@pytest.mark.parametrize(
    "url",
    [f"ftp://h/{SECRET}", SECRET, f"https:///{SECRET}", f"http://h:port/{SECRET}", f"http://h/{SECRET} x"],
)
def test_another_text_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        alert_url({"MOVIERANK_ALERT_URL": url})
    assert str(refused.value) == (
        "MOVIERANK_ALERT_URL is not a web address. Expected: an address that begins with http:// or https://,"
        " or nothing. Remedy: set it to the address of a webhook, or leave it out."
    )


def test_the_shown_receiver_is_scheme_host_and_port() -> None:
    assert receiver_of("https://user:pw@hooks.example:8443/T0?x=1") == "https://hooks.example:8443"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("movierank_core.errors.DataError: No ratings.\nmore", "DataError: No ratings."),
        (
            "DataError: Line 3 of r.csv has the userId `17`, a text. Expected: the columns `userId`.",
            "DataError: Line 3 of r.csv has the userId `…`, a text. Expected: the columns `userId`.",
        ),
        (
            "OperationalError: postgresql://me:pw@db/x?key=1 is away",
            "OperationalError: postgresql://…@db/x?… is away",
        ),
        ("KeyError: `17", "KeyError: `…`"),
        ("x" * 600, "x" * 499 + "…"),
        ("", ""),
    ],
)
def test_an_error_is_shown_in_one_line_without_data_and_credentials(message: str, shown: str) -> None:
    assert shown_error(message) == shown
