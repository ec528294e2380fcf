// One whole flow with a second library that knows the standards and nothing of this gateway (openid-client): discovery,
// private_key_jwt, DPoP, a pushed request, the citizen's pages, code, token, API, refresh, introspection, revocation.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node openid.js <path of sandbox.json>
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import * as jose from 'jose'
import * as client from 'openid-client'
import { Citizen } from './citizen.js'

const file = process.argv[2]
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node openid.js <path of sandbox.json>')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const citizen = sandbox.subjects.filter((subject) => subject.scenario === 'match')[1]

let passed = 0
let failed = 0

async function check(name, judge) {
  try {
    await judge()
    passed += 1
    console.log(`ok    ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAIL  ${name}: ${error.message}${error.cause ? ` (${JSON.stringify(error.cause)})` : ''}`)
  }
}

async function configured(id) {
  const member = sandbox.clients.find((known) => known.client_id === id)
  const { alg, kid } = member.jwk_private
  const auth = client.PrivateKeyJwt({ key: await jose.importJWK(member.jwk_private, alg), kid })
  const config = await client.discovery(new URL(sandbox.issuer), id, undefined, auth, { algorithm: 'oauth2' })
  return { config, DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')), redirect: member.redirect_uris[0] }
}

const url = (path) => new URL(path, sandbox.api)
const { config, DPoP, redirect } = await configured('demo-nonce-app')
let granted
let consent

await check('a consent is made with a token of its own, the nonce found out on the way', async () => {
  const own = await client.clientCredentialsGrant(config, { scope: 'consents:write' }, { DPoP })
  const headers = new Headers({ 'content-type': 'application/json', 'x-idempotency-key': `openid-${randomUUID().slice(0, 30)}` })
  const body = JSON.stringify({ permissions: ['accounts', 'balances'], expiresAt: new Date(Date.now() + 86_400_000).toISOString() })
  const response = await client.fetchProtectedResource(config, own.access_token, url('/v1/account-access-consents'), 'POST', body, headers, { DPoP })
  assert.equal(response.status, 201)
  consent = await response.json()
})

await check('pushed, decided by the citizen, and redeemed', async () => {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const to = await client.buildAuthorizationUrlWithPAR(
    config,
    {
      redirect_uri: redirect,
      state,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      authorization_details: JSON.stringify([{ type: 'account_information', consentId: consent.consentId }]),
    },
    { DPoP },
  )
  const back = await new Citizen(sandbox, citizen.iin).decide(to)
  granted = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state }, undefined, { DPoP })
  assert.equal(granted.token_type, 'dpop')
  assert.deepEqual(granted.scope.split(' ').sort(), ['accounts:read', 'balances:read'])
})

await check('the API answers with what the citizen shares', async () => {
  const response = await client.fetchProtectedResource(config, granted.access_token, url('/v1/accounts'), 'GET', null, undefined, { DPoP })
  assert.equal(response.status, 200)
  const { accounts } = await response.json()
  assert.ok(accounts.some((account) => account.iban === citizen.iban))
  const other = client.fetchProtectedResource(config, granted.access_token, url(`/v1/accounts/${accounts[0].accountId}/transactions`), 'GET', null, undefined, { DPoP })
  await assert.rejects(other, (error) => error.status === 403)
})

await check('the token is refreshed, introspected, and revoked', async () => {
  const fresh = await client.refreshTokenGrant(config, granted.refresh_token, undefined, { DPoP })
  assert.equal((await client.fetchProtectedResource(config, fresh.access_token, url('/v1/accounts'), 'GET', null, undefined, { DPoP })).status, 200)
  const bank = await configured('demo-bank-app')
  assert.equal((await client.tokenIntrospection(bank.config, fresh.access_token)).active, true)
  // The refresh token stands for the grant: with it all its tokens end.
  await client.tokenRevocation(config, granted.refresh_token)
  for (const { access_token } of [fresh, granted]) {
    await assert.rejects(client.fetchProtectedResource(config, access_token, url('/v1/accounts'), 'GET', null, undefined, { DPoP }), (error) => error.status === 401)
    assert.deepEqual(await client.tokenIntrospection(bank.config, access_token), { active: false })
  }
  await assert.rejects(client.refreshTokenGrant(config, granted.refresh_token, undefined, { DPoP }), (error) => error.error === 'invalid_grant')
})

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
