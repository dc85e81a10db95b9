"""The typed client against a real service."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from taxomind_app.client import AsyncClient, Client
from taxomind_resources.faults import Fault
from tests.app.api.v1_service import SECRET, answering
from tests.copies import copied


@pytest.fixture(scope="module")
def service(built, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield answering(copied(built, tmp_path_factory.mktemp("client") / "data"), patch)


@pytest.fixture
def client(service):
    with Client("http://localhost", SECRET, transport=service.http._transport) as found:
        yield found


def test_a_person_can_look_around_and_teach(client):
    assert [row.key for row in client.taxonomies().taxonomies] == ["living"]
    assert client.search("living", "bir").nodes[0].code == "AB"
    assert client.node("living", "AB").label == "Birds"
    learned = client.correct("living", "submarine with wings", "AB", annotator="ada")
    answer = client.classify("living", ["submarine with wings"], explain=True).answers[0]
    assert (answer.code, answer.stop_reason) == ("AB", "exact_evidence")
    assert answer.reasons
    assert client.corrections("living").corrections[0].annotator == "ada"
    assert client.withdraw("living", learned.correction_ids[0]).taken_back[0].text == "submarine with wings"
    assert client.confirm("living", "barn owl", "AB").learned
    assert {item.text for item in client.queue("living").items} == {"a parrot that talks", "red tulips"}
    assert client.contradictions("living").contradictions == []
    assert client.candidates("living").candidates == []
    assert client.report("living").texts == 4


def test_codes_and_keys_cannot_leave_their_place_in_an_address(client):
    for code in ("../../nope", "a/b", "?x=1", "#"):
        with pytest.raises(Fault) as caught:
            client.node("living", code)
        assert caught.value.code == "unknown_code", code


def test_what_the_service_refuses_is_a_fault_with_its_code(client, service):
    with pytest.raises(Fault) as caught:
        client.correct("living", "x", "nope")
    assert caught.value.code == "unknown_code"
    assert caught.value.value == "'nope'"
    with pytest.raises(Fault) as caught:
        client.decide("living", "nope", "skip")
    assert caught.value.code == "invalid_input"
    with (
        pytest.raises(Fault) as caught,
        Client("http://localhost", "wrong", transport=service.http._transport) as stranger,
    ):
        stranger.taxonomies()
    assert caught.value.code == "unauthorized"


def test_a_service_that_is_not_there_is_a_fault_that_says_so():
    with pytest.raises(Fault) as caught, Client("http://127.0.0.1:9", timeout_s=2) as client:
        client.taxonomies()
    assert caught.value.code == "provider_failed"
    assert "127.0.0.1:9" in caught.value.value


def test_an_answer_that_is_no_json_is_a_fault():
    transport = httpx2.MockTransport(lambda request: httpx2.Response(502, text="<h1>Bad gateway</h1>"))
    with pytest.raises(Fault) as caught, Client("http://proxy", transport=transport) as client:
        client.taxonomies()
    assert (caught.value.code, "502" in caught.value.what) == ("provider_failed", True)


def test_the_asynchronous_client_does_the_same(service):
    async def used():
        transport = httpx2.ASGITransport(app=service.app)
        async with AsyncClient("http://localhost", SECRET, transport=transport) as client:
            both = await asyncio.gather(client.classify("living", ["red roses"]), client.search("living", "tree"))
            with pytest.raises(Fault) as caught:
                await client.node("living", "nope")
            return both, caught.value.code

    (answered, found), code = asyncio.run(used())
    assert answered.answers[0].code == "PF"
    assert found.nodes[0].code == "PT"
    assert code == "unknown_code"


def test_both_clients_have_the_same_methods():
    def public(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Client) - {"close"} == public(AsyncClient) - {"aclose"}
