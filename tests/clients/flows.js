// Asks citizens for their consents the way a fintech would: with a library that knows the standards and nothing of this
// gateway (oauth4webapi), and a citizen who walks its pages.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node flows.js <path of sandbox.json>
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.

import assert from 'node:assert/strict'
import { X509Certificate, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import { Agent, fetch as fetchThrough } from 'undici'
import { Citizen } from './citizen.js'

const TIMEOUT_MS = 60_000
const CITIZEN_LIFE_SECONDS = 300

const file = process.argv[2]
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node flows.js <path of sandbox.json>')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const issuer = new URL(sandbox.issuer)
const ca = await readFile(sandbox.ca_cert)
const signal = () => AbortSignal.timeout(TIMEOUT_MS)

let passed = 0
let failed = 0

async function check(name, judge) {
  try {
    await judge()
    passed += 1
    console.log(`ok    ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAIL  ${name}: ${error.message}${error.cause ? ` (${JSON.stringify(error.cause.body ?? error.cause.parameters ?? error.cause.message ?? error.cause)})` : ''}`)
  }
}

async function refusal(asking) {
  try {
    await asking
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) return { status: error.status, error: error.error }
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      return { status: error.status, error: error.cause.find((challenge) => challenge.parameters.error)?.parameters.error }
    }
    if (error instanceof oauth.AuthorizationResponseError) return { error: error.error }
    throw error
  }
  throw new Error('this should have been refused')
}

const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', signal }))
const member = (id) => sandbox.clients.find((client) => client.client_id === id)
const citizens = sandbox.subjects.filter((subject) => subject.scenario === 'match')
assert.ok(citizens.length >= 2, 'sandbox.json has two citizens who are recognised')

// A client with everything it asks with: how it shows who it is, and what its tokens are bound to.
async function app(id) {
  const record = member(id)
  assert.ok(record, `sandbox.json has no client ${id}`)
  const client = { client_id: id }
  const self = { record, client, redirect: record.redirect_uris[0], api: sandbox.api, options: { signal } }
  if (record.auth === 'private_key_jwt') {
    const { alg, kid } = record.jwk_private
    self.auth = oauth.PrivateKeyJwt({ key: await jose.importJWK(record.jwk_private, alg), kid })
    self.pair = await oauth.generateKeyPair('ES256')
    self.DPoP = oauth.DPoP(client, self.pair)
    self.options.DPoP = self.DPoP
  } else {
    self.auth = oauth.TlsClientAuth()
    self.cert = await readFile(record.mtls_cert)
    self.agent = new Agent({ connect: { ca, cert: self.cert, key: await readFile(record.mtls_key) } })
    client.use_mtls_endpoint_aliases = true
    self.api = sandbox.mtls_api
    self.options[oauth.customFetch] = (url, options) => fetchThrough(url, { ...options, dispatcher: self.agent })
  }
  return self
}

// A server that wants a nonce says so once and gives it; the library keeps it for the next try.
async function twice(ask) {
  try {
    return await ask()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return ask()
  }
}

async function own(self, scope = 'consents:write') {
  return twice(async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, self.client, self.auth, { scope }, self.options)
    return oauth.processClientCredentialsResponse(as, self.client, response)
  })
}

async function call(self, token, method, path, body, headers = {}) {
  const sent = new Headers({ ...(body && { 'content-type': 'application/json' }), ...(method === 'POST' && { 'x-idempotency-key': `flow-${randomUUID().slice(0, 30)}` }), ...headers })
  return twice(() => oauth.protectedResourceRequest(token.access_token, method, new URL(path, self.api), sent, body && JSON.stringify(body), self.options))
}

const inDays = (days) => new Date(Date.now() + days * 86_400_000).toISOString()
const reading = () => ({ permissions: ['accounts', 'balances', 'transactions'], expiresAt: inDays(30), purpose: 'Keeping your household accounts' })

async function consent(self, kind, body) {
  const token = await own(self)
  const response = await call(self, token, 'POST', `/v1/${kind}-consents`, body)
  const made = await response.json()
  assert.equal(response.status, 201, JSON.stringify(made))
  assert.equal(made.status, 'awaiting_authorisation')
  return { token, id: made.consentId, path: `/v1/${kind}-consents/${made.consentId}` }
}

async function push(self, details, change = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const parameters = new URLSearchParams({
    response_type: 'code',
    redirect_uri: self.redirect,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    authorization_details: JSON.stringify(details),
  })
  for (const [name, value] of Object.entries(change)) value === null ? parameters.delete(name) : parameters.set(name, value)
  const pushed = await twice(async () => {
    const response = await oauth.pushedAuthorizationRequest(as, self.client, self.auth, parameters, self.options)
    return oauth.processPushedAuthorizationResponse(as, self.client, response)
  })
  const url = new URL(as.authorization_endpoint)
  url.searchParams.set('client_id', self.client.client_id)
  url.searchParams.set('request_uri', pushed.request_uri)
  return { url, verifier, state, pushed }
}

async function redeem(self, code, verifier, redirect = self.redirect) {
  return twice(async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, self.client, self.auth, code, redirect, verifier, self.options)
    return oauth.processAuthorizationCodeResponse(as, self.client, response)
  })
}

async function authorized(self, citizen, details, decision) {
  const { url, verifier, state } = await push(self, details)
  const left = await new Citizen(sandbox, citizen.iin).decide(url, decision)
  assert.ok(left.href.startsWith(self.redirect), left.href)
  // The library looks at `iss` and `state`, and throws what the server refused with.
  const answer = oauth.validateAuthResponse(as, self.client, left, state)
  return { answer, verifier }
}

const ofAccess = ({ id }) => [{ type: 'account_information', consentId: id }]
const ofPayment = ({ id }) => [{ type: 'payment_initiation', consentId: id }]
const listed = async (response) => (await response.json()).accounts.map((account) => account.iban)

async function problem(response, status, name) {
  const body = await response.json()
  assert.equal(response.status, status, JSON.stringify(body))
  assert.equal(body.type, `urn:qaqpa:problem:${name}`)
}

await check('the metadata tells a FAPI 2.0 server: pushed requests, S256, iss in answers, no public client', async () => {
  assert.deepEqual(as.response_types_supported, ['code'])
  assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
  assert.equal(as.require_pushed_authorization_requests, true)
  assert.equal(as.authorization_response_iss_parameter_supported, true)
  for (const grant of ['authorization_code', 'client_credentials', 'refresh_token']) assert.ok(as.grant_types_supported.includes(grant), grant)
  assert.ok(!as.token_endpoint_auth_methods_supported.some((method) => /secret|none/.test(method)))
  for (const name of ['token', 'pushed_authorization_request', 'introspection', 'revocation']) assert.ok(as[`${name}_endpoint`], name)
  assert.ok(as.authorization_details_types_supported.includes('payment_initiation'))
})

// ---- a key, DPoP, and a server that wants its nonce in every proof ----

const keyed = await app('demo-nonce-app')
const [payer, payee] = citizens
let held

await check('a proof without the nonce is refused, with the nonce to use', async () => {
  const bare = await app('demo-nonce-app')
  const asking = oauth.clientCredentialsGrantRequest(as, bare.client, bare.auth, { scope: 'consents:write' }, bare.options)
  const response = await asking
  assert.ok(response.headers.get('dpop-nonce'))
  assert.deepEqual(await refusal(oauth.processClientCredentialsResponse(as, bare.client, response)), { status: 400, error: 'use_dpop_nonce' })
})

await check('private_key_jwt and DPoP with nonce: consent, pushed request, page, code, token', async () => {
  const made = await consent(keyed, 'account-access', reading())
  const { answer, verifier } = await authorized(keyed, payer, ofAccess(made))
  const granted = await redeem(keyed, answer, verifier)
  assert.equal(granted.token_type, 'dpop')
  assert.ok(granted.refresh_token)
  assert.ok(granted.expires_in <= CITIZEN_LIFE_SECONDS)
  assert.equal(granted.authorization_details[0].type, 'account_information')
  held = { ...made, granted, answer, verifier }
})

await check('its token is an RFC 9068 token of a citizen, bound to the key', async () => {
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri))
  const { payload } = await jose.jwtVerify(held.granted.access_token, keys, { issuer: as.issuer, audience: as.issuer, typ: 'at+jwt' })
  assert.match(payload.sub, /^citizen:/)
  assert.equal(payload.client_id, keyed.client.client_id)
  assert.equal(payload.cnf.jkt, await keyed.DPoP.calculateThumbprint())
  assert.ok(payload.grant_id && payload.authorization_details.length === 1 && payload.acr)
  assert.ok(!JSON.stringify(payload).includes(payer.iin), 'the token names the citizen by number')
})

await check('it reads the accounts of that citizen, and no others', async () => {
  const response = await call(keyed, held.granted, 'GET', '/v1/accounts')
  assert.equal(response.status, 200)
  const ibans = await listed(response)
  assert.ok(ibans.includes(payer.iban) && !ibans.includes(payee.iban), ibans.join())
})

await check("the client's own token reads no accounts", async () => {
  const { error } = await refusal(call(keyed, await own(keyed, 'accounts:read'), 'GET', '/v1/accounts'))
  assert.equal(error, 'insufficient_scope')
})

await check("a citizen's token makes no consents", async () => {
  const { status } = await refusal(call(keyed, held.granted, 'POST', '/v1/account-access-consents', reading()))
  assert.equal(status, 403)
})

await check('a refresh token gives another access token, and is not exchanged', async () => {
  for (const _ of [1, 2]) {
    const granted = await twice(async () => {
      const response = await oauth.refreshTokenGrantRequest(as, keyed.client, keyed.auth, held.granted.refresh_token, keyed.options)
      return oauth.processRefreshTokenResponse(as, keyed.client, response)
    })
    assert.ok(!granted.refresh_token || granted.refresh_token === held.granted.refresh_token)
    assert.equal((await call(keyed, granted, 'GET', '/v1/accounts')).status, 200)
  }
})

await check('another client cannot use the refresh token', async () => {
  const other = await app('demo-app')
  const asking = oauth.refreshTokenGrantRequest(as, other.client, other.auth, held.granted.refresh_token, other.options)
  assert.equal((await refusal(asking.then((response) => oauth.processRefreshTokenResponse(as, other.client, response)))).error, 'invalid_grant')
})

await check('a token that was revoked is refused at once', async () => {
  const granted = await twice(async () => {
    const response = await oauth.refreshTokenGrantRequest(as, keyed.client, keyed.auth, held.granted.refresh_token, keyed.options)
    return oauth.processRefreshTokenResponse(as, keyed.client, response)
  })
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, keyed.client, keyed.auth, granted.access_token, { signal }))
  assert.deepEqual(await refusal(call(keyed, granted, 'GET', '/v1/accounts')), { status: 401, error: 'invalid_token' })
  // The grant stands: another token of it is good.
  assert.equal((await call(keyed, held.granted, 'GET', '/v1/accounts')).status, 200)
})

await check('what nobody issued is revoked too, as far as anybody can tell', async () => {
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, keyed.client, keyed.auth, 'nothing', { signal }))
})

await check('a code is used once; the second use ends the grant', async () => {
  assert.equal((await refusal(redeem(keyed, held.answer, held.verifier))).error, 'invalid_grant')
  assert.deepEqual(await refusal(call(keyed, held.granted, 'GET', '/v1/accounts')), { status: 401, error: 'invalid_token' })
  const again = oauth.refreshTokenGrantRequest(as, keyed.client, keyed.auth, held.granted.refresh_token, keyed.options)
  assert.equal((await refusal(again.then((response) => oauth.processRefreshTokenResponse(as, keyed.client, response)))).error, 'invalid_grant')
})

await check('a code is worth nothing without its verifier, with another redirect_uri, or with another key', async () => {
  const made = await consent(keyed, 'account-access', reading())
  const { answer, verifier } = await authorized(keyed, payer, ofAccess(made))
  assert.equal((await refusal(redeem(keyed, answer, oauth.generateRandomCodeVerifier()))).error, 'invalid_grant')
  const second = await consent(keyed, 'account-access', reading())
  const more = await authorized(keyed, payer, ofAccess(second))
  assert.equal((await refusal(redeem(keyed, more.answer, more.verifier, 'https://thief.example/callback'))).error, 'invalid_grant')
  const third = await consent(keyed, 'account-access', reading())
  const last = await authorized(keyed, payer, ofAccess(third))
  const thief = { ...keyed, options: { ...keyed.options, DPoP: oauth.DPoP(keyed.client, await oauth.generateKeyPair('ES256')) } }
  const { error } = await refusal(redeem(thief, last.answer, last.verifier))
  assert.ok(['invalid_grant', 'invalid_dpop_proof'].includes(error), error)
})

await check('a citizen who says no is an error with state and iss', async () => {
  const made = await consent(keyed, 'account-access', reading())
  assert.deepEqual(await refusal(authorized(keyed, payer, ofAccess(made), 'refuse')), { error: 'access_denied' })
  const read = await call(keyed, made.token, 'GET', made.path)
  assert.equal((await read.json()).status, 'rejected')
})

await check('a citizen who is not recognised gets no further', async () => {
  const made = await consent(keyed, 'account-access', reading())
  const { url } = await push(keyed, ofAccess(made))
  const stranger = new Citizen(sandbox, sandbox.subjects.find((subject) => subject.scenario === 'no_match').iin)
  await assert.rejects(stranger.decide(url), (error) => !/^http/.test(error.message))
  const read = await call(keyed, made.token, 'GET', made.path)
  assert.equal((await read.json()).status, 'awaiting_authorisation')
})

await check('a pushed request is refused without PKCE, by plain, with another redirect_uri, another type, or no details', async () => {
  const made = await consent(keyed, 'account-access', reading())
  for (const change of [
    { code_challenge: null },
    { code_challenge_method: 'plain' },
    { redirect_uri: 'https://thief.example/callback' },
    { response_type: 'token' },
    { authorization_details: null },
    { authorization_details: '[]' },
    { authorization_details: JSON.stringify([{ type: 'treasury' }]) },
    { request_uri: 'urn:ietf:params:oauth:request_uri:x' },
    { scope: 'treasury:write' },
  ]) {
    const { status } = await refusal(push(keyed, ofAccess(made), change))
    assert.equal(status, 400, JSON.stringify(change))
  }
})

await check("one client's pushed request is nothing for another", async () => {
  const made = await consent(keyed, 'account-access', reading())
  const { url } = await push(keyed, ofAccess(made))
  url.searchParams.set('client_id', 'demo-app')
  const response = await fetch(url, { redirect: 'manual', signal: signal() })
  assert.ok(response.status >= 400 && !response.headers.get('location'), `${response.status}`)
})

await check('an authorization request that was not pushed is refused', async () => {
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: keyed.client.client_id, response_type: 'code', redirect_uri: keyed.redirect })
  const response = await fetch(url, { redirect: 'manual', signal: signal() })
  assert.ok(response.status >= 400 && !response.headers.get('location'), `${response.status}`)
})

await check('a citizen who takes a consent back ends its tokens within a second', async () => {
  const made = await consent(keyed, 'account-access', reading())
  const { answer, verifier } = await authorized(keyed, payer, ofAccess(made))
  const granted = await redeem(keyed, answer, verifier)
  assert.equal((await call(keyed, granted, 'GET', '/v1/accounts')).status, 200)
  await new Citizen(sandbox, payer.iin).revoke(made.id)
  assert.deepEqual(await refusal(call(keyed, granted, 'GET', '/v1/accounts')), { status: 401, error: 'invalid_token' })
})

// ---- a payment ----

const pays = await app('demo-app')
const order = (amount) => ({
  debtorAccount: { iban: payer.iban },
  creditorAccount: { iban: payee.iban },
  creditorName: 'Demo Recipient',
  instructedAmount: { amount, currency: 'KZT' },
  knp: '119',
  remittanceInformation: 'From an independent client',
})

await check('a payment equals its consent, and uses it up', async () => {
  const made = await consent(pays, 'domestic-payment', order('11.00'))
  const { answer, verifier } = await authorized(pays, payer, ofPayment(made))
  const granted = await redeem(pays, answer, verifier)
  const pay = (body) => call(pays, granted, 'POST', '/v1/domestic-payments', body)
  const other = await refusal(pay(order('12.00')))
  assert.equal(other.status, 403)
  const paid = await pay(order('11.00'))
  assert.equal(paid.status, 201, await paid.clone().text())
  await problem(await pay(order('11.00')), 422, 'consent_consumed')
  const read = await call(pays, made.token, 'GET', made.path)
  assert.equal((await read.json()).status, 'consumed')
})

await check('the terms may stand in the pushed request itself', async () => {
  const { permissions, expiresAt } = reading()
  const { answer, verifier } = await authorized(pays, payer, [{ type: 'account_information', permissions, expiresAt }])
  const granted = await redeem(pays, answer, verifier)
  assert.equal((await call(pays, granted, 'GET', '/v1/accounts')).status, 200)
  held = { granted }
})

// ---- introspection ----

const bank = await app('demo-bank-app')

await check('whoever may introspect is told of tokens, and of nothing else', async () => {
  const introspect = async (self, token) => {
    const response = await oauth.introspectionRequest(as, self.client, self.auth, token, { signal })
    return oauth.processIntrospectionResponse(as, self.client, response)
  }
  const told = await introspect(bank, held.granted.access_token)
  assert.equal(told.active, true, JSON.stringify(told))
  assert.equal(told.client_id, pays.client.client_id)
  assert.equal(told.token_type?.toLowerCase(), 'dpop')
  assert.equal(told.cnf.jkt, await pays.DPoP.calculateThumbprint())
  assert.deepEqual(await introspect(bank, 'nothing'), { active: false })
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, pays.client, pays.auth, held.granted.access_token, { signal }))
  assert.deepEqual(await introspect(bank, held.granted.access_token), { active: false })
  const other = await refusal(introspect(pays, held.granted.refresh_token))
  assert.ok([400, 401, 403].includes(other.status), JSON.stringify(other))
})

// ---- certificates: vouched for by an authority, and signed by oneself ----

for (const id of ['demo-mtls-app', 'demo-own-certificate-app']) {
  const shown = await app(id)
  await check(`${id}: by certificate through page, code, token and refresh`, async () => {
    const made = await consent(shown, 'account-access', reading())
    const { answer, verifier } = await authorized(shown, payer, ofAccess(made))
    const granted = await redeem(shown, answer, verifier)
    assert.equal(granted.token_type, 'bearer')
    const { 'x5t#S256': bound } = jose.decodeJwt(granted.access_token).cnf
    const thumbprint = new X509Certificate(shown.cert).fingerprint256.replaceAll(':', '')
    assert.equal(bound, jose.base64url.encode(Buffer.from(thumbprint, 'hex')))
    const ibans = await listed(await call(shown, granted, 'GET', '/v1/accounts'))
    assert.ok(ibans.includes(payer.iban) && !ibans.includes(payee.iban), ibans.join())
    const response = await oauth.refreshTokenGrantRequest(as, shown.client, shown.auth, granted.refresh_token, shown.options)
    const refreshed = await oauth.processRefreshTokenResponse(as, shown.client, response)
    assert.equal((await call(shown, refreshed, 'GET', '/v1/accounts')).status, 200)
    // The same token without the certificate, or with another one.
    const bare = await fetch(new URL('/v1/accounts', sandbox.mtls_api), { headers: { authorization: `Bearer ${granted.access_token}` }, signal: signal() })
    assert.equal(bare.status, 401)
    const thief = await app(id === 'demo-mtls-app' ? 'demo-own-certificate-app' : 'demo-mtls-app')
    assert.equal((await refusal(call(thief, granted, 'GET', '/v1/accounts'))).status, 401)
    await thief.agent.close()
  })
  await check(`${id}: nobody is this client without its certificate`, async () => {
    const bare = { ...shown, options: { signal } }
    assert.equal((await refusal(own(bare))).error, 'invalid_client')
  })
  await shown.agent.close()
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
