#!/usr/bin/env python3
"""One whole flow in another language, by libraries that know the standards and nothing of this gateway: authlib speaks
OAuth (private_key_jwt, PKCE, codes, refreshing), joserfc signs the DPoP proofs and verifies the token.

    REQUESTS_CA_BUNDLE=<ca_cert of sandbox.json> flow.py <path of sandbox.json>

Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.
"""
import base64, hashlib, json, sys, time, uuid
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

TIMEOUT_SECONDS = 60
PAGES_MAX = 60
CLIENT = "demo-app"

passed = failed = 0


def check(name):
    def run(judge):
        global passed, failed
        try:
            judge()
            passed += 1
            print(f"ok    {name}")
        except Exception as error:  # whatever it is: the next check is asked all the same
            failed += 1
            print(f"FAIL  {name}: {type(error).__name__}: {error}")
    return run


def need(holds, why):
    if not holds:
        raise AssertionError(why)


class Page(HTMLParser):
    """The forms and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.forms, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.forms.append({"action": attributes["action"], "brought": [], "offered": []})
        elif tag in ("input", "button") and attributes.get("name") and self.forms:
            kind = "brought" if attributes.get("type") == "hidden" else "offered"
            self.forms[-1][kind].append((attributes["name"], attributes.get("value", "")))
        elif tag == "a":
            self.links.append((attributes.get("class"), attributes.get("href")))


def decide(api, iin, url):
    """Walks the gateway's pages as the citizen with this number, and approves; gives where the browser is sent."""
    browser, request = requests.Session(), ("GET", url, None)
    for _ in range(PAGES_MAX):
        method, url, body = request
        answer = browser.request(method, url, data=body, allow_redirects=False, timeout=TIMEOUT_SECONDS, headers={"accept": "text/html"})
        if "location" in answer.headers:
            url = urljoin(url, answer.headers["location"])
            if not url.startswith(api) and urlsplit(url).hostname != "127.0.0.1":
                return url
            request = ("GET", url, None)
            continue
        page = Page(answer.text)
        for form in page.forms:
            if ("decision", "approve") in form["offered"]:
                chosen = [field for field in form["offered"] if field[0] == "account"]
                request = ("POST", urljoin(url, form["action"]), form["brought"] + [("decision", "approve")] + chosen)
                break
            if any(name == "iin" for name, _ in form["offered"]):
                request = ("POST", urljoin(url, form["action"]), form["brought"] + [("iin", iin)])
                break
        else:
            onward = [href for kind, href in page.links if kind in ("back", "button main")]
            need(onward, f"nothing to do on {url} ({answer.status_code})")
            time.sleep(0.3)
            request = ("GET", urljoin(url, onward[0]), None)
    raise AssertionError("the pages do not end")


sandbox = json.load(open(sys.argv[1]))
issuer, api = sandbox["issuer"], sandbox["api"]
member = next(client for client in sandbox["clients"] if client["client_id"] == CLIENT)
citizen = next(person for person in sandbox["subjects"] if person["scenario"] == "match")
metadata = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=TIMEOUT_SECONDS).json()
jwk, proof_key = member["jwk_private"], ECKey.generate_key("P-256")
redirect = member["redirect_uris"][0]


class Assertion(PrivateKeyJWT):
    """The library's own lives for an hour, which no FAPI 2.0 server should take; and each is used once."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


session = OAuth2Session(CLIENT, ECKey.import_key(jwk), token_endpoint_auth_method="private_key_jwt", redirect_uri=redirect, default_timeout=TIMEOUT_SECONDS)
# FAPI 2.0: the audience of an assertion is the issuer, whichever endpoint it is for.
session.register_client_auth_method(Assertion(issuer, alg=jwk["alg"], headers={"kid": jwk["kid"]}))


def proof(method, url, token=None):
    claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
    if token:
        claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": proof_key.as_dict(private=False)}
    return jwt.encode(header, claims, proof_key)


def call(token, method, path, body=None):
    headers = {"authorization": f"DPoP {token}", "dpop": proof(method, f"{api}{path}", token), "x-idempotency-key": f"py-{uuid.uuid4().hex}"}
    return requests.request(method, f"{api}{path}", json=body, headers=headers, timeout=TIMEOUT_SECONDS)


def granted(**parameters):
    endpoint = metadata["token_endpoint"]
    return session.fetch_token(endpoint, headers={"DPoP": proof("POST", endpoint), "Content-Type": "application/x-www-form-urlencoded"}, **parameters)


held = {}


@check("a consent is made with a token of the client's own")
def _():
    own = granted(grant_type="client_credentials", scope="consents:write")
    need(own["token_type"] == "DPoP", own["token_type"])
    until = (datetime.now(timezone.utc) + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = call(own["access_token"], "POST", "/v1/account-access-consents", {"permissions": ["accounts"], "expiresAt": until})
    need(made.status_code == 201, made.text)
    held["own"], held["consent"] = own["access_token"], made.json()["consentId"]


@check("a request is pushed, decided on the pages, and its code redeemed")
def _():
    verifier, state = generate_token(48), generate_token(24)
    form = {
        "client_id": CLIENT, "response_type": "code", "redirect_uri": redirect, "state": state,
        "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
        "authorization_details": json.dumps([{"type": "account_information", "consentId": held["consent"]}]),
    }
    endpoint = metadata["pushed_authorization_request_endpoint"]
    pushed = session.post(endpoint, data=form, auth=session.client_auth("private_key_jwt"), headers={"DPoP": proof("POST", endpoint)}, withhold_token=True)
    need(pushed.status_code == 201, pushed.text)
    url, _ = session.create_authorization_url(metadata["authorization_endpoint"], request_uri=pushed.json()["request_uri"])
    back = decide(api, citizen["iin"], url)
    need(back.startswith(redirect), back)
    answer = parse_qs(urlsplit(back).query)
    need(answer["iss"] == [issuer] and answer["state"] == [state], back)
    held["token"] = granted(authorization_response=back, code_verifier=verifier, state=state)
    held["code"], held["verifier"] = answer["code"][0], verifier


@check("the token verifies with the published keys and speaks for a citizen")
def _():
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=TIMEOUT_SECONDS).json())
    token = jwt.decode(held["token"]["access_token"], keys, algorithms=["ES256"])
    need(token.header["typ"] == "at+jwt", token.header)
    rules = jwt.JWTClaimsRegistry(iss={"essential": True, "value": issuer}, aud={"essential": True, "value": issuer}, exp={"essential": True})
    rules.validate(token.claims)
    need(token.claims["sub"].startswith("citizen:") and token.claims["cnf"]["jkt"] == proof_key.thumbprint(), token.claims)


@check("the API shows the citizen's accounts, and nothing that was not agreed to")
def _():
    read = call(held["token"]["access_token"], "GET", "/v1/accounts")
    need(read.status_code == 200, read.text)
    accounts = read.json()["accounts"]
    need(citizen["iban"] in [account["iban"] for account in accounts], read.text)
    need(call(held["token"]["access_token"], "GET", f"/v1/accounts/{accounts[0]['accountId']}/balances").status_code == 403, "balances are shown")
    need(call(held["own"], "GET", "/v1/accounts").status_code == 403, "accounts are shown without a citizen")


@check("a refresh token gives a fresh token")
def _():
    endpoint = metadata["token_endpoint"]
    fresh = session.refresh_token(endpoint, refresh_token=held["token"]["refresh_token"], headers={"DPoP": proof("POST", endpoint), "Content-Type": "application/x-www-form-urlencoded"})
    need(call(fresh["access_token"], "GET", "/v1/accounts").status_code == 200, "it does not open the API")


@check("the code's second use is refused and ends everything")
def _():
    try:
        granted(grant_type="authorization_code", code=held["code"], code_verifier=held["verifier"])
    except OAuthError as error:
        need(error.error == "invalid_grant", error.error)
    else:
        raise AssertionError("a code was used twice")
    need(call(held["token"]["access_token"], "GET", "/v1/accounts").status_code == 401, "its token lives on")


print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
