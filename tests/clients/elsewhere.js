// Another authorization server in front of the same API: npm's oidc-provider, in its FAPI 2.0 profile with DPoP and nonces.
// It is named as an issuer in the sandbox's policies, and one client gets its tokens there; both are put back at the end.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node elsewhere.js <path of sandbox.json>
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { dirname, join } from 'node:path'
import process from 'node:process'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import Provider, { errors } from 'oidc-provider'

const TIMEOUT_MS = 60_000
const PATIENCE_MS = 20_000
const PAGES_MAX = 12
const CLIENT = 'elsewhere-app'
const REDIRECT = 'https://elsewhere-app.example/callback'
const SCOPE = 'accounts:read'

const file = process.argv[2]
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node elsewhere.js <path of sandbox.json>')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const accounts = new URL('/v1/accounts', sandbox.api)
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
    throw error
  }
  throw new Error('this should have been refused')
}

async function twice(ask) {
  try {
    return await ask()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return ask()
  }
}

// ---- the other server, on a certificate of the sandbox's own authority ----

const place = dirname(sandbox.ca_cert)
const [cert, key] = await Promise.all([readFile(join(place, 'server.pem')), readFile(join(place, 'server.key'))])
const pair = async (alg) => {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true })
  const kid = randomBytes(8).toString('hex')
  return { publicKey, privateKey, public: { ...(await jose.exportJWK(publicKey)), kid, alg, use: 'sig' }, secret: { ...(await jose.exportJWK(privateKey)), kid, alg, use: 'sig' } }
}
const [signing, ours] = [await pair('ES256'), await pair('ES256')]

let provider
const server = createServer({ cert, key }, (request, response) => provider.callback()(request, response))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `https://127.0.0.1:${server.address().port}`

const registered = (client_id) => ({
  client_id,
  redirect_uris: [REDIRECT],
  response_types: ['code'],
  grant_types: ['authorization_code', 'client_credentials'],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: 'ES256',
  id_token_signed_response_alg: 'ES256',
  authorization_signed_response_alg: 'ES256',
  introspection_signed_response_alg: 'ES256',
  dpop_bound_access_tokens: true,
  jwks: { keys: [ours.public] },
  scope: `openid ${SCOPE}`,
})

provider = new Provider(issuer, {
  clients: [registered(CLIENT), registered('demo-app')],
  jwks: { keys: [signing.secret] },
  scopes: ['openid', SCOPE],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: Object.fromEntries(
    ['clientAuthSigningAlgValues', 'authorizationSigningAlgValues', 'dPoPSigningAlgValues', 'idTokenSigningAlgValues', 'introspectionSigningAlgValues', 'requestObjectSigningAlgValues', 'userinfoSigningAlgValues'].map((name) => [name, ['ES256']]),
  ),
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  rotateRefreshToken: false,
  ttl: { AccessToken: 300, ClientCredentials: 300, Grant: 3600, Session: 3600, Interaction: 600 },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: {
    devInteractions: { enabled: false },
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => sandbox.issuer,
      getResourceServerInfo: (_, resource) => {
        if (![sandbox.issuer, 'https://other.example'].includes(resource)) throw new errors.InvalidTarget()
        return { scope: SCOPE, audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt: { sign: { alg: 'ES256' } } }
      },
      useGrantedResource: () => true,
    },
  },
})
// Whoever comes is logged in and agrees: what is tried here is the gateway, not these pages.
provider.use(async (context, next) => {
  if (!context.path.startsWith('/interaction/')) return next()
  const details = await provider.interactionDetails(context.req, context.res)
  const grant = new provider.Grant({ accountId: 'somebody', clientId: details.params.client_id })
  grant.addOIDCScope(`openid ${SCOPE}`)
  grant.addResourceScope(sandbox.issuer, SCOPE)
  const grantId = await grant.save()
  const result = { login: { accountId: 'somebody' }, consent: { grantId } }
  return provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: false })
})

// ---- the gateway is told of it ----

const policy = join(sandbox.paths.policies, 'elsewhere.yaml')
const jwk = JSON.stringify({ ...ours.public })
await writeFile(
  policy,
  `qaqpa: v1
issuers:
  elsewhere:
    issuer: ${issuer}
    jwks: {url: "${issuer}/jwks", algorithms: [ES256]}
    users: true
clients:
  ${CLIENT}:
    organisation: demo-fintech
    plan: standard
    issuer: elsewhere
    consents: organisation
    authentication: private_key_jwt
    keys:
      - ${jwk}
    tokens: {bind: dpop}
    scopes: ["${SCOPE}"]
`,
)
process.kill(sandbox.pid, 'SIGHUP')

const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { signal }))
const auth = oauth.PrivateKeyJwt({ key: ours.privateKey, kid: ours.public.kid })
const client = { client_id: CLIENT }
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
const options = { DPoP, signal }

const own = (who, resource, handle = options) =>
  twice(async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, who, auth, { scope: SCOPE, ...(resource && { resource }) }, handle)
    return oauth.processClientCredentialsResponse(as, who, response)
  })
const read = (token, handle = options) => twice(() => oauth.protectedResourceRequest(token, 'GET', accounts, undefined, undefined, handle))

await check('the other server is found in force', async () => {
  const { access_token } = await own(client)
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    const status = await read(access_token).then((response) => response.status, (error) => error.status)
    if (status === 200) return
    assert.ok(Date.now() < until, `still ${status}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
})

let granted

await check('pushed request with nonce, code with iss, token: a whole FAPI 2.0 flow over there', async () => {
  const verifier = oauth.generateRandomCodeVerifier()
  const parameters = new URLSearchParams({
    response_type: 'code',
    redirect_uri: REDIRECT,
    scope: SCOPE,
    resource: sandbox.issuer,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const pushed = await twice(async () => {
    const response = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options)
    return oauth.processPushedAuthorizationResponse(as, client, response)
  })
  let url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: CLIENT, request_uri: pushed.request_uri })
  const cookies = new Map()
  const seen = []
  while (!url.href.startsWith(REDIRECT)) {
    seen.push(url.pathname)
    assert.ok(seen.length < PAGES_MAX, `the pages lead around in a circle: ${seen.join(' ')}`)
    const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }
    const response = await fetch(url, { headers, redirect: 'manual', signal: signal() })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/)
      cookies.set(name, value)
    }
    assert.ok(response.headers.get('location'), `${response.status} ${await response.text()}`)
    url = new URL(response.headers.get('location'), url)
  }
  const answer = oauth.validateAuthResponse(as, client, url, oauth.expectNoState)
  granted = await twice(async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, REDIRECT, verifier, options)
    return oauth.processAuthorizationCodeResponse(as, client, response)
  })
  assert.equal(granted.token_type, 'dpop')
  assert.equal(jose.decodeProtectedHeader(granted.access_token).typ, 'at+jwt')
})

await check('its token opens the API, with a proof of its key', async () => {
  const response = await read(granted.access_token)
  assert.equal(response.status, 200)
  assert.ok((await response.json()).accounts.length > 0)
})

await check('and nothing without one, or with that of another key', async () => {
  assert.equal((await refusal(read(granted.access_token, { signal }))).status, 401)
  const thief = { signal, DPoP: oauth.DPoP(client, await oauth.generateKeyPair('ES256')) }
  assert.deepEqual(await refusal(read(granted.access_token, thief)), { status: 401, error: 'invalid_token' })
})

await check('its token for another resource is refused', async () => {
  const { access_token } = await own(client, 'https://other.example')
  assert.deepEqual(await refusal(read(access_token)), { status: 401, error: 'invalid_token' })
})

await check('it cannot speak for a client whose tokens come from the gateway', async () => {
  const other = { client_id: 'demo-app' }
  const handle = { signal, DPoP: oauth.DPoP(other, await oauth.generateKeyPair('ES256')) }
  const { access_token } = await own(other, undefined, handle)
  assert.deepEqual(await refusal(read(access_token, handle)), { status: 401, error: 'invalid_token' })
})

await check('what somebody else signed in its name is refused', async () => {
  const forger = await pair('ES256')
  const claims = jose.decodeJwt(granted.access_token)
  const sign = (header) => new jose.SignJWT(claims).setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', ...header }).sign(forger.privateKey)
  for (const header of [{ kid: signing.public.kid }, { kid: forger.public.kid }, { jwk: forger.public }, { jku: `${issuer}/jwks` }]) {
    assert.equal((await refusal(read(await sign(header)))).status, 401, JSON.stringify(header))
  }
})

await check("the gateway's own server gives this client no token", async () => {
  const gateway = await oauth.processDiscoveryResponse(new URL(sandbox.issuer), await oauth.discoveryRequest(new URL(sandbox.issuer), { algorithm: 'oauth2', signal }))
  const asking = oauth.clientCredentialsGrantRequest(gateway, client, auth, { scope: SCOPE }, options)
  const { error } = await refusal(asking.then((response) => oauth.processClientCredentialsResponse(gateway, client, response)))
  assert.ok(['invalid_client', 'unauthorized_client'].includes(error), error)
})

await rm(policy)
process.kill(sandbox.pid, 'SIGHUP')
server.closeAllConnections()
server.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
