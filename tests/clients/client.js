// Calls a running sandbox the way a fintech would: with libraries that know the standards and nothing of this gateway
// (oauth4webapi, jose). What they refuse, other people's clients refuse too.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node client.js <path of sandbox.json>
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import { Agent, fetch as fetchThrough } from 'undici'

// No answer takes longer: the gateway's own longest time-out is a minute.
const TIMEOUT_MS = 60_000

const file = process.argv[2]
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node client.js <path of sandbox.json>')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const issuer = new URL(sandbox.issuer)
const ca = await readFile(sandbox.ca_cert)
// What a client asks for itself, without a citizen.
const EVENTS = 'events:read'
const events = new URL('/v1/events', sandbox.api)
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
    console.log(`FAIL  ${name}: ${error.cause ? `${error.message} (${error.cause.message ?? JSON.stringify(error.cause)})` : error.message}`)
  }
}

function known(auth, role, alg) {
  const found = sandbox.clients.find(
    (client) => client.auth === auth && client.roles.includes(role) && (!alg || client.jwk_private?.alg === alg) && client.client_id !== 'trial-app',
  )
  assert.ok(found, `sandbox.json has no client with ${auth}, ${role} ${alg ?? ''}`)
  return found
}

async function problem(response, status, type) {
  const body = await response.json()
  assert.equal(response.status, status, `${response.status} ${JSON.stringify(body)}`)
  assert.match(response.headers.get('content-type'), /^application\/problem\+json/)
  const shared = { rate_limited: 'quota-exceeded', capacity: 'temporary-reduced-capacity' }[type]
  assert.equal(body.type, shared ? `https://iana.org/assignments/http-problem-types#${shared}` : `urn:qaqpa:problem:${type}`)
  assert.ok(response.headers.get('x-fapi-interaction-id'), 'every answer has an interaction id')
  return body
}

// A proof by hand, because the library rightly never sends one twice.
async function proof(pair, method, url, token) {
  const claims = { jti: crypto.randomUUID(), htm: method, htu: url.href }
  if (token) claims.ath = jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))))
  return new jose.SignJWT(claims)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: await jose.exportJWK(pair.publicKey) })
    .setIssuedAt()
    .sign(pair.privateKey)
}

async function keyed(member) {
  const { alg, kid } = member.jwk_private
  return { client: { client_id: member.client_id }, auth: oauth.PrivateKeyJwt({ key: await jose.importJWK(member.jwk_private, alg), kid }) }
}

async function token(as, member, scope, options = {}) {
  const { client, auth } = await keyed(member)
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope }, { signal, ...options })
  return oauth.processClientCredentialsResponse(as, client, response)
}

// Gives the status and the OAuth error of a refusal, whether it stands in the body or in a challenge.
async function refusal(asking) {
  try {
    await asking
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) return { status: error.status, error: error.error }
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      return { status: error.status, error: error.cause.find((challenge) => challenge.parameters.error)?.parameters.error }
    }
    throw error
  }
  throw new Error('this should have been refused')
}

async function verified(as, granted) {
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri))
  const { payload, protectedHeader } = await jose.jwtVerify(granted.access_token, keys, {
    issuer: as.issuer,
    audience: as.issuer,
    typ: 'at+jwt',
    requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti', 'scope', 'cnf'],
  })
  return { payload, protectedHeader }
}

let as
await check('the metadata is found and names the issuer it was asked for', async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', signal })
  as = await oauth.processDiscoveryResponse(issuer, response)
  assert.ok(as.grant_types_supported.includes('client_credentials'))
})
if (!as) {
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(1)
}

const fintech = known('private_key_jwt', 'PISP')
const pair = await oauth.generateKeyPair('ES256', { extractable: true })
let granted

await check('a token is granted to a signed assertion with a DPoP proof', async () => {
  const DPoP = oauth.DPoP({ client_id: fintech.client_id }, pair)
  granted = await token(as, fintech, 'events:read', { DPoP })
  assert.equal(granted.token_type, 'dpop')
  assert.equal(granted.scope ?? 'events:read', 'events:read')
})

await check('the token is an RFC 9068 token that verifies with the published keys', async () => {
  const { payload } = await verified(as, granted)
  assert.equal(payload.client_id, fintech.client_id)
  assert.equal(payload.scope, 'events:read')
  assert.equal(payload.cnf.jkt, await jose.calculateJwkThumbprint(await jose.exportJWK(pair.publicKey)))
  assert.ok(payload.exp - payload.iat <= 300, 'a token lives five minutes at most')
})

await check('events are listed with token and proof', async () => {
  const DPoP = oauth.DPoP({ client_id: fintech.client_id }, pair)
  const response = await oauth.protectedResourceRequest(granted.access_token, 'GET', events, undefined, undefined, { DPoP, signal })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type'), /^application\/json/)
  assert.ok(Object.values(await response.json()).some((value) => Array.isArray(value) || typeof value === 'object'))
})

await check('a proof is taken once', async () => {
  const headers = { authorization: `DPoP ${granted.access_token}`, dpop: await proof(pair, 'GET', events, granted.access_token) }
  const first = await fetch(events, { headers, signal: signal() })
  assert.equal(first.status, 200, await first.text())
  await problem(await fetch(events, { headers, signal: signal() }), 401, 'replay_detected')
})

await check('a proof for another method or place is refused', async () => {
  for (const wrong of [['POST', events], ['GET', new URL('/v1/discovery/status', sandbox.api)]]) {
    const dpop = await proof(pair, ...wrong, granted.access_token)
    await problem(await fetch(events, { headers: { authorization: `DPoP ${granted.access_token}`, dpop }, signal: signal() }), 401, 'proof_invalid')
  }
})

await check('a proof by another key is refused', async () => {
  const other = await oauth.generateKeyPair('ES256', { extractable: true })
  const dpop = await proof(other, 'GET', events, granted.access_token)
  await problem(await fetch(events, { headers: { authorization: `DPoP ${granted.access_token}`, dpop }, signal: signal() }), 401, 'token_binding_failed')
})

await check('a stolen token is worth nothing as a plain bearer token', async () => {
  const error = await refusal(oauth.protectedResourceRequest(granted.access_token, 'GET', events, undefined, undefined, { signal }))
  assert.deepEqual(error, { status: 401, error: 'invalid_token' })
})

await check('without a token the challenge names DPoP and its algorithms', async () => {
  const response = await fetch(events, { signal: signal() })
  assert.match(response.headers.get('www-authenticate'), /DPoP .*algs="[^"]*ES256/)
  await problem(response, 401, 'token_missing')
})

await check('a token is not granted without a key to bind it to', async () => {
  const { error } = await refusal(token(as, fintech, 'events:read'))
  assert.ok(['invalid_request', 'invalid_dpop_proof'].includes(error), error)
})

await check('a token is not granted for a scope the client does not have', async () => {
  const DPoP = oauth.DPoP({ client_id: fintech.client_id }, pair)
  const { error } = await refusal(token(as, fintech, 'treasury:write', { DPoP }))
  assert.equal(error, 'invalid_scope')
})

await check('an assertion by a key of nobody is refused', async () => {
  const stranger = await oauth.generateKeyPair('ES256')
  const client = { client_id: fintech.client_id }
  const auth = oauth.PrivateKeyJwt({ key: stranger.privateKey, kid: fintech.jwk_private.kid })
  const DPoP = oauth.DPoP(client, pair)
  const asking = oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'events:read' }, { DPoP, signal })
  const { error } = await refusal(asking.then((response) => oauth.processClientCredentialsResponse(as, client, response)))
  assert.equal(error, 'invalid_client')
})

await check('a client with an Ed25519 key gets a token too', async () => {
  const bank = known('private_key_jwt', 'BANK')
  const DPoP = oauth.DPoP({ client_id: bank.client_id }, await oauth.generateKeyPair('ES256'))
  const { payload } = await verified(as, await token(as, bank, 'identity:verify', { DPoP }))
  assert.equal(payload.client_id, bank.client_id)
})

const certified = known('tls_client_auth', 'AISP')
const cert = await readFile(certified.mtls_cert)
const key = await readFile(certified.mtls_key)
const certificate = new Agent({ connect: { ca, cert, key } })
const through = (url, options) => fetchThrough(url, { ...options, dispatcher: certificate })
const mtls = { client_id: certified.client_id, use_mtls_endpoint_aliases: true }
const mtlsConsents = new URL('/v1/account-access-consents', sandbox.mtls_api)
let bound

await check('a client is authenticated by its certificate and gets a token bound to it', async () => {
  const options = { signal, [oauth.customFetch]: through }
  const response = await oauth.clientCredentialsGrantRequest(as, mtls, oauth.TlsClientAuth(), { scope: 'consents:write' }, options)
  bound = await oauth.processClientCredentialsResponse(as, mtls, response)
  assert.equal(bound.token_type, 'bearer')
  const { payload } = await verified(as, bound)
  const { X509Certificate } = await import('node:crypto')
  const thumbprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '')
  assert.equal(payload.cnf['x5t#S256'], jose.base64url.encode(Buffer.from(thumbprint, 'hex')))
})

await check('a consent is made with the certificate', async () => {
  const options = { signal, [oauth.customFetch]: through }
  const headers = new Headers({ 'content-type': 'application/json', 'x-idempotency-key': `client-${crypto.randomUUID().slice(0, 30)}` })
  const wish = { permissions: ['accounts'], expiresAt: new Date(Date.now() + 86_400_000).toISOString() }
  const response = await oauth.protectedResourceRequest(bound.access_token, 'POST', mtlsConsents, headers, JSON.stringify(wish), options)
  assert.equal(response.status, 201, await response.text())
})

await check('the same token is refused without the certificate, at either door', async () => {
  for (const url of [new URL(mtlsConsents.pathname, sandbox.api), mtlsConsents]) {
    const response = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${bound.access_token}` }, signal: signal() })
    await problem(response, 401, 'token_binding_failed')
  }
})

await check('nobody is authenticated by a certificate that was not shown', async () => {
  const options = { signal }
  const response = await oauth.clientCredentialsGrantRequest(as, mtls, oauth.TlsClientAuth(), { scope: 'consents:write' }, options)
  const { error } = await refusal(oauth.processClientCredentialsResponse(as, mtls, response))
  assert.equal(error, 'invalid_client')
})

await certificate.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
