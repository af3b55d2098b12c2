"""The page on which somebody lets an app in: who may be sent where, what a browser may do with it, and what is refused."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2 import SetAccountStateRequest

from runtime.context import acting
from tests.unit.edge.oauth_world import ISSUER, Browser, OAuthWorld, asking_for, hidden, oauth_world, said
from tests.unit.svc_user.app_world import CHALLENGE, REDIRECT
from tests.unit.svc_user.world import SERVICE


@pytest_asyncio.fixture
async def world() -> AsyncIterator[OAuthWorld]:
    async with oauth_world() as world:
        yield world


async def test_the_page_names_the_app_its_host_and_what_it_could_do(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person(), name="<b>Chirper</b> & Co")
    page = await world.browser.get(asking_for(app, scope="read follow"))
    assert page.status_code == 200
    assert "&lt;b&gt;Chirper&lt;/b&gt; &amp; Co" in page.text
    assert "app.example" in page.text
    assert "read what you can read" in page.text
    assert "follow, unfollow, block and mute" in page.text
    assert "post, delete posts" not in page.text


async def test_the_page_is_kept_nowhere_framed_nowhere_and_holds_no_script(world: OAuthWorld) -> None:
    """Clickjacking: a page in a frame could be clicked by who thinks to click something else."""
    app = await world.users.app(await world.users.person())
    page = await world.browser.get(asking_for(app))
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' https://app.example"
    assert "script-src" not in policy
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "<script" not in page.text
    assert not re.search(r"\son\w+=|\sstyle=", page.text)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("https://app.example:8443/cb?x=1", "https://app.example:8443"),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1:9"),
        ("http://[::1]:9/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
        ("com.example.app://cb", "com.example.app:"),
    ],
)
async def test_the_policy_lets_the_form_lead_to_the_app_and_no_further(
    world: OAuthWorld, address: str, source: str
) -> None:
    app = await world.users.app(await world.users.person(), redirect_uris=[address])
    page = await world.browser.get(asking_for(app, redirect_uri=address))
    assert f"form-action 'self' {source};" in page.headers["content-security-policy"]
    redirect = await world.browser.decide(page)
    assert redirect.headers["location"].startswith(address.partition("?")[0] + "?")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    cookie = (await world.browser.get(asking_for(app))).headers["set-cookie"]
    assert re.fullmatch(r"__Host-aviary-form=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure", cookie), (
        "Secure and __Host- because the public address is https"
    )


async def test_state_and_issuer_come_back_with_the_code_and_with_a_refusal(world: OAuthWorld) -> None:
    """RFC 9207: an app that talks to several servers must see which one answers."""
    app = await world.users.app(await world.users.person())
    state = "a b&c=d#é?/"
    granted = await world.granted(app, state=state)
    assert set(granted) == {"code", "state", "iss"}
    assert (granted["state"], granted["iss"]) == (state, ISSUER)
    page = await world.browser.get(asking_for(app, state=state))
    redirect = await world.browser.decide(page, "deny", login="", password="")
    assert said(redirect) == {
        "error": "access_denied",
        "error_description": "The resource owner or authorization server denied the request",
        "state": state,
        "iss": ISSUER,
    }
    assert redirect.headers["cache-control"] == "no-store"
    assert redirect.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "address",
    [
        f"{REDIRECT}/",
        f"{REDIRECT}x",
        f"{REDIRECT}/../evil",
        f"{REDIRECT}/%2e%2e/evil",
        f"{REDIRECT}?next=https://evil.example",
        f"{REDIRECT}#fragment",
        f"{REDIRECT}\\@evil.example",
        f"{REDIRECT}\r\nLocation: https://evil.example",
        f" {REDIRECT}",
        f"{REDIRECT}\x00",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "https://evil.example/callback?https://app.example/callback",
        "https://APP.example/callback",
        "https://app.example/Callback",
        "https://app.example:443/callback",
        "http://app.example/callback",
        "//app.example/callback",
        "javascript:alert(1)",
        'https://app.example/"',
        "https://äpp.example/callback",
        "",
        None,
    ],
)
@pytest.mark.parametrize("broken", [{}, {"response_type": "token"}, {"scope": "account"}], ids=["", "type", "scope"])
async def test_nobody_is_sent_to_an_address_that_the_app_did_not_register(
    world: OAuthWorld, address: str | None, broken: dict[str, str]
) -> None:
    """Neither with a code nor with an error: an open redirect lends our name to whoever wants it."""
    app = await world.users.app(await world.users.person())
    answer = await world.browser.get(asking_for(app, redirect_uri=address, **broken))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "location" not in answer.headers
    assert "evil" not in answer.text
    assert answer.headers["content-security-policy"].endswith("frame-ancestors 'none'")


@pytest.mark.parametrize("client_id", ["nobody", "", "x" * 1000, "é", None])
async def test_nobody_is_sent_anywhere_for_an_unknown_app(world: OAuthWorld, client_id: str | None) -> None:
    app = await world.users.app(await world.users.person())
    answer = await world.browser.get(asking_for(app, client_id=client_id))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "not known" in answer.text


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "response_type", "scope", "state"])
async def test_a_parameter_that_is_given_twice_leads_nowhere(world: OAuthWorld, name: str) -> None:
    """Two readers would see two different requests."""
    app = await world.users.app(await world.users.person())
    answer = await world.browser.get(f"{asking_for(app)}&{name}=other")
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 128}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "\n"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "account"}, "invalid_scope"),
        ({"scope": "read admin"}, "invalid_scope"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_to_the_app(
    world: OAuthWorld, changed: dict[str, str | None], error: str
) -> None:
    """PKCE downgrade above all: without a method the protocol would mean `plain`, without a challenge nothing."""
    app = await world.users.app(await world.users.person())
    told = said(await world.browser.get(asking_for(app, **changed)))
    assert (told["error"], told["state"], told["iss"]) == (error, "xyz", ISSUER)
    assert "code" not in told


async def test_a_challenge_given_twice_is_refused(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    told = said(await world.browser.get(f"{asking_for(app)}&code_challenge={'y' * 43}"))
    assert told["error"] == "invalid_request"
    told = said(await world.browser.get(f"{asking_for(app)}&code_challenge_method=plain"))
    assert told["error"] == "invalid_request"


async def test_the_query_of_a_registered_address_stays(world: OAuthWorld) -> None:
    address = f"{REDIRECT}?tenant=7"
    app = await world.users.app(await world.users.person(), redirect_uris=[address])
    redirect = await world.browser.decide(await world.browser.get(asking_for(app, redirect_uri=address)))
    query = parse_qs(urlsplit(redirect.headers["location"]).query)
    assert query["tenant"] == ["7"]
    assert set(query) == {"tenant", "code", "state", "iss"}


async def test_without_a_scope_all_of_the_apps_are_asked_for_and_told(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person(), scopes=["read", "notifications"])
    page = await world.browser.get(asking_for(app, scope=None))
    assert "read your notifications" in page.text
    code = said(await world.browser.decide(page))["code"]
    assert (await world.exchange(app, code)).json()["scope"] == "read notifications"


@pytest.mark.parametrize("token", [None, "", "0" * 64])
async def test_a_form_without_its_token_is_refused(world: OAuthWorld, token: str | None) -> None:
    app = await world.users.app(await world.users.person())
    page = await world.browser.get(asking_for(app))
    form = {"login": "alice", "password": "correct horse battery", "decision": "allow"}
    answer = await world.browser.post(
        asking_for(app), data={**form, **({} if token is None else {"form_token": token})}
    )
    assert (page.status_code, answer.status_code) == (200, 403)
    assert "location" not in answer.headers


async def test_a_form_of_another_browser_or_for_another_request_is_refused(world: OAuthWorld) -> None:
    """Cross-site request forgery: who attacks has forms of its own, and cannot set or read the cookie of the victim."""
    alice = await world.users.person()
    app, evil = await world.users.app(alice), await world.users.app(alice, name="Evil")
    async with Browser(transport=world.transport, base_url=ISSUER) as attacker:
        theirs = await attacker.get(asking_for(evil))
    mine = await world.browser.get(asking_for(app))
    foreign = await world.browser.decide(mine, **hidden(theirs))
    swapped = await world.browser.post(
        asking_for(evil), data={"login": "alice", "password": "x", "decision": "allow", **hidden(mine)}
    )
    world.browser.cookies.clear()
    without = await world.browser.decide(mine)
    for answer in (foreign, swapped, without):
        assert answer.status_code == 403
        assert "location" not in answer.headers


async def test_a_form_that_a_browser_says_comes_from_another_site_is_refused(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    page = await world.browser.get(asking_for(app))
    world.browser.headers["Sec-Fetch-Site"] = "cross-site"
    assert (await world.browser.decide(page)).status_code == 403
    world.browser.headers["Sec-Fetch-Site"] = "same-origin"
    assert (await world.browser.decide(page)).status_code == 303


async def test_two_tabs_of_one_browser_do_not_disturb_each_other(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    first = await world.browser.get(asking_for(app, state="1"))
    second = await world.browser.get(asking_for(app, state="2"))
    assert said(await world.browser.decide(first))["state"] == "1"
    assert said(await world.browser.decide(second))["state"] == "2"


async def test_a_wrong_password_shows_the_page_again_without_it(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    page = await world.browser.get(asking_for(app))
    again = await world.browser.decide(page, login='alice"><script>', password="wrong horse")
    assert again.status_code == 401
    assert "No account has this name and password." in again.text
    assert 'value="alice&quot;&gt;&lt;script&gt;"' in again.text
    assert "wrong horse" not in again.text
    assert said(await world.browser.decide(again))["code"]


@pytest.mark.parametrize("password", ["", "x" * 2049, "x" * 60_000])
async def test_a_password_that_nobody_has_is_wrong(world: OAuthWorld, password: str) -> None:
    app = await world.users.app(await world.users.person())
    answer = await world.browser.decide(await world.browser.get(asking_for(app)), password=password)
    assert answer.status_code == 400
    assert "No account has this name and password." in answer.text


async def test_guessing_on_the_page_is_slowed_down_as_logins_are(world: OAuthWorld) -> None:
    app = await world.users.app(await world.users.person())
    page = await world.browser.get(asking_for(app))
    answers = [await world.browser.decide(page, password="wrong horse") for _ in range(12)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "too many tries" in answers[-1].text


async def test_a_suspended_user_lets_nobody_in(world: OAuthWorld) -> None:
    alice = await world.users.person()
    app = await world.users.app(alice)
    page = await world.browser.get(asking_for(app))
    with acting(SERVICE):
        await world.users.users.SetAccountState(
            SetAccountStateRequest(user_id=alice, status=user_pb2.USER_STATUS_SUSPENDED)
        )
    answer = await world.browser.decide(page)
    assert (answer.status_code, "suspended" in answer.text) == (403, True)


@pytest.mark.parametrize("decision", ["", "ALLOW", "yes"])
async def test_only_a_clear_decision_counts(world: OAuthWorld, decision: str) -> None:
    app = await world.users.app(await world.users.person())
    answer = await world.browser.decide(await world.browser.get(asking_for(app)), decision)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("query", ["client_id=%ff", "%", "a=1&" * 200, "response_type=%22%C3%A9"])
async def test_a_query_that_is_nonsense_gets_a_page(world: OAuthWorld, query: str) -> None:
    answer = await world.browser.get(f"/oauth/authorize?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")


async def test_a_known_app_with_a_nonsensical_response_type_gets_a_page(world: OAuthWorld) -> None:
    """Authlib's errors cannot hold such characters."""
    app = await world.users.app(await world.users.person())
    for text in ('"', "é", "\\", "\n"):
        assert (await world.browser.get(asking_for(app, response_type=text))).status_code in (303, 400)
