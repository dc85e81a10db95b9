"""Sessions of the review page: a cookie for a token, and nothing for other sites."""

from __future__ import annotations

import re
import time

import pytest
from starlette.testclient import TestClient

from taxomind_app.api.sessions import COOKIE
from taxomind_resources.token_store import TokenStore
from tests.app.api.v1_service import PATH, SECRET, answering
from tests.copies import copied

BODY = {"corrections": [{"text": "a cookie made of oak", "code": "PT"}]}


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield answering(copied(built, tmp_path_factory.mktemp("sessions") / "data"), patch, session_hours=2)


@pytest.fixture
def browser(service):
    """A browser that nobody knows yet."""
    return TestClient(service.app, base_url="http://localhost", follow_redirects=False)


def log_in(browser, token=SECRET, **headers):
    return browser.post("/review/login", data={"token": token, "next": "/review/living/queue"}, headers=headers)


def csrf_of(browser):
    return re.search(r'data-csrf="(\w+)"', browser.get("/review/living").text).group(1)


def test_a_page_asks_for_a_token_and_goes_on_where_it_was_wanted(browser):
    answer = browser.get("/review/living/queue")
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/login?next=%2Freview%2Fliving%2Fqueue")
    assert 'value="/review/living/queue"' in browser.get(answer.headers["location"]).text
    answer = log_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/living/queue")
    assert browser.get("/review/living/queue").status_code == 200


def test_the_cookie_is_for_this_site_alone_and_holds_no_token(browser):
    cookie = log_in(browser).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=7200"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert SECRET not in cookie
    assert "Secure" in log_in(browser, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", "ü"])
def test_a_wrong_token_opens_nothing(browser, token):
    answer = log_in(browser, token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "The token is not valid." in answer.text


@pytest.mark.parametrize(
    "here", ["https://elsewhere.example", "//elsewhere.example", "/review/login", "/reviewer", "/review/\\x"]
)
def test_a_login_leads_to_our_own_pages_only(browser, here):
    answer = browser.post("/review/login", data={"token": SECRET, "next": here})
    assert answer.headers["location"] == "/review"


def test_a_form_of_another_site_logs_nobody_in(browser):
    assert log_in(browser, **{"Sec-Fetch-Site": "cross-site"}).status_code == 401


def test_a_session_may_read_and_needs_the_header_of_the_page_to_change_anything(browser):
    log_in(browser)
    assert browser.get(PATH).status_code == 200
    assert browser.post(f"{PATH}/corrections", json=BODY).status_code == 401
    assert browser.post(f"{PATH}/corrections", json=BODY, headers={"X-CSRF-Token": "0" * 64}).status_code == 401
    answer = browser.post(f"{PATH}/corrections", json=BODY, headers={"X-CSRF-Token": csrf_of(browser)})
    assert answer.status_code == 200


def test_the_header_of_one_session_is_of_no_use_to_another(browser, service):
    _, secret = TokenStore(service.data).create("other", ["local"], ["read", "learn"])
    log_in(browser, secret)
    own = csrf_of(browser)
    log_in(browser)
    assert browser.post(f"{PATH}/corrections", json=BODY, headers={"X-CSRF-Token": own}).status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "..", "env.99999999999.00", "ü.1.2"])
def test_a_cookie_that_is_not_ours_is_nobody(browser, cookie):
    answer = browser.get(PATH, headers={"Cookie": f"{COOKIE}={cookie}".encode()})
    assert answer.status_code == 401


def test_a_changed_end_is_noticed(browser):
    token_id, end, signature = log_in(browser).cookies[COOKIE].rsplit(".", 2)
    forged = f"{token_id}.{int(end) + 9}.{signature}"
    assert browser.get(PATH, headers={"Cookie": f"{COOKIE}={forged}"}).status_code == 401


def test_a_session_ends_with_its_time_and_with_its_token(browser, service, monkeypatch):
    store = TokenStore(service.data)
    token, secret = store.create("short", ["local"], ["read"])
    cookie = log_in(browser, secret).cookies[COOKIE]
    assert browser.get(PATH).status_code == 200
    with monkeypatch.context() as patch:
        later = time.time() + 7300
        patch.setattr(time, "time", lambda: later)
        assert service.app.state.sessions.read(cookie) is None
    assert browser.get(PATH).status_code == 200
    store.revoke(token.id)
    assert browser.get(PATH).status_code == 401


def test_a_session_outlives_the_process(browser, service, monkeypatch):
    cookie = log_in(browser).cookies[COOKIE]
    other = answering(service.data, monkeypatch)
    answer = other.http.get(PATH, headers={"Authorization": "", "Cookie": f"{COOKIE}={cookie}"})
    assert answer.status_code == 200
    assert (service.data / "service" / "session.key").stat().st_mode & 0o077 == 0


def test_a_session_has_the_scopes_of_its_token(browser, service):
    _, secret = TokenStore(service.data).create("looks", ["local"], ["read"])
    log_in(browser, secret)
    answer = browser.post(f"{PATH}/corrections", json=BODY, headers={"X-CSRF-Token": csrf_of(browser)})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_forbidden")
    assert "data-confirm" not in browser.get("/review/living/queue").text


def test_logging_out_ends_the_session_in_this_browser(browser):
    log_in(browser)
    assert browser.post("/review/logout", data={"csrf": "wrong"}).status_code == 401
    assert browser.post("/review/logout", data={"csrf": csrf_of(browser)}).status_code == 303
    assert browser.get(PATH).status_code == 401


@pytest.fixture(scope="module")
def open_service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield answering(copied(built, tmp_path_factory.mktemp("open") / "data"), patch, auth_enabled=False)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, 401),
        ({"Origin": "https://elsewhere.example"}, 401),
        ({"Origin": "null"}, 401),
        ({"Sec-Fetch-Site": "same-site"}, 401),
        ({"Origin": "http://rebound.example", "Host": "rebound.example", "Sec-Fetch-Site": "same-origin"}, 401),
    ],
)
def test_without_tokens_only_our_own_pages_may_change_anything_through_a_browser(open_service, headers, status):
    answer = open_service.http.post(f"{PATH}/corrections", json=BODY, headers=headers)
    assert answer.status_code == status, answer.text


def test_without_tokens_there_is_no_login(open_service):
    assert open_service.http.get("/review/login").headers["location"] == "/review"
    assert open_service.http.get("/review").headers["location"] == "/review/living"
    assert open_service.http.get("/review/living").status_code == 200
