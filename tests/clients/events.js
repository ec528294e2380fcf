// Is told of events by a running sandbox the way a fintech would be: with libraries that know the standards and nothing of
// this gateway (standardwebhooks, cloudevents). It names an endpoint of its own in the sandbox's policies, has the gateway
// reload them, and puts them back at the end.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node events.js <path of sandbox.json>
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 if any failed.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import process from 'node:process'
import { HTTP, CloudEvent } from 'cloudevents'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'

// The gateway looks four times a second, and tries a second time after five to six seconds.
const PATIENCE_MS = 30_000
const CLIENT = 'demo-app'

const file = process.argv[2]
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node events.js <path of sandbox.json>')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const issuer = new URL(sandbox.issuer)
const signal = () => AbortSignal.timeout(PATIENCE_MS)

let passed = 0
let failed = 0

async function check(name, judge) {
  try {
    await judge()
    passed += 1
    console.log(`ok    ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}

// The endpoint: keeps what comes, byte for byte, and refuses the first delivery of each event.
const deliveries = []
const refused = new Set()
const endpoint = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const id = request.headers['webhook-id']
  deliveries.push({ id, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') })
  response.statusCode = refused.has(id) ? 204 : 500
  refused.add(id)
  response.end()
})
endpoint.listen(0, '127.0.0.1')
await once(endpoint, 'listening')

// Waits for a delivery that `fits`, behind the first `seen` ones.
async function delivered(seen, fits) {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const found = deliveries.slice(seen).find(fits)
    if (found) return found
    assert.ok(Date.now() < end, `nothing that fits came among ${deliveries.length} deliveries`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const about = (subject) => (delivery) => JSON.parse(delivery.body).subject === subject

// Names the endpoint in the policies; gives what puts them back.
async function subscribe(secret) {
  const kept = join(sandbox.paths.state, 'keys', 'events-client-secret')
  await writeFile(kept, `${secret}\n`, { mode: 0o600 })
  const policy = join(sandbox.paths.policies, 'sandbox.yaml')
  const before = await readFile(policy, 'utf8')
  const url = `http://127.0.0.1:${endpoint.address().port}/events`
  const webhook = `    webhook: {url: "${url}", secret: ${JSON.stringify(`secret:file:${kept}`)}}\n`
  await writeFile(policy, before.replace(`  ${CLIENT}:\n`, (line) => line + webhook))
  process.kill(sandbox.pid, 'SIGHUP')
  return async () => {
    await writeFile(policy, before)
    process.kill(sandbox.pid, 'SIGHUP')
  }
}

const member = sandbox.clients.find((client) => client.client_id === CLIENT)
const client = { client_id: CLIENT }
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', signal }))
const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
const { alg, kid } = member.jwk_private
const auth = oauth.PrivateKeyJwt({ key: await jose.importJWK(member.jwk_private, alg), kid })
const scope = 'events:read events:write identity:verify'
const granting = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope }, { signal, DPoP })
const { access_token: token } = await oauth.processClientCredentialsResponse(as, client, granting)

async function call(method, path, body, headers = {}) {
  const all = new Headers({ ...headers, ...(body && { 'content-type': 'application/json' }) })
  const url = new URL(path, sandbox.api)
  const response = await oauth.protectedResourceRequest(token, method, url, all, body && JSON.stringify(body), { DPoP, signal })
  return { status: response.status, body: await response.json() }
}

// Reads the feed from where it left off to its end.
async function feed(after = '0') {
  const events = []
  for (;;) {
    const { status, body } = await call('GET', `/v1/events?after=${after}&limit=100`)
    assert.equal(status, 200, JSON.stringify(body))
    if (body.events.length === 0) return { events, next: body.next }
    events.push(...body.events)
    after = body.next
  }
}

const secret = `whsec_${randomBytes(32).toString('base64')}`
const webhook = new Webhook(secret)
const start = await feed()
const restore = await subscribe(secret)

try {
  const subject = { type: 'iin', value: sandbox.subjects.find((known) => known.scenario === 'match').iin }
  const wish = { subject, purpose: 'loan', level: 'L2', binding: { kind: 'none' } }
  const started = await call('POST', '/v1/identity-verifications', wish, { 'x-idempotency-key': crypto.randomUUID() })
  const id = started.body.id
  let first

  await check('an event is posted to the endpoint that the policy names', async () => {
    assert.equal(started.status, 201, JSON.stringify(started.body))
    first = await delivered(0, about(id))
  })

  await check('standardwebhooks takes the signature, and no other', () => {
    const payload = webhook.verify(first.body, first.headers)
    assert.equal(payload.subject, id)
    assert.throws(() => webhook.verify(first.body.replace('passed', 'failed'), first.headers), WebhookVerificationError)
    assert.throws(() => webhook.verify(first.body, { ...first.headers, 'webhook-id': 'other' }), WebhookVerificationError)
    const stranger = new Webhook(`whsec_${randomBytes(32).toString('base64')}`)
    assert.throws(() => stranger.verify(first.body, first.headers), WebhookVerificationError)
  })

  await check('cloudevents reads it and finds nothing to complain of', () => {
    const event = HTTP.toEvent({ headers: first.headers, body: first.body })
    assert.ok(event instanceof CloudEvent && event.validate())
    assert.equal(event.specversion, '1.0')
    assert.equal(event.id, first.id)
    assert.equal(event.source, sandbox.issuer)
    assert.equal(event.type, 'kz.qaqpa.verification.decided.v1')
    assert.equal(event.subject, id)
    assert.equal(event.data.verificationId, id)
    assert.equal(event.data.status, 'passed')
    assert.ok(!first.body.includes(subject.value), 'nobody is named')
  })

  await check('what was refused comes again: the same event, a new signature', async () => {
    const second = await delivered(deliveries.indexOf(first) + 1, about(id))
    assert.equal(second.id, first.id)
    assert.equal(second.body, first.body)
    assert.notEqual(second.headers['webhook-timestamp'], first.headers['webhook-timestamp'])
    webhook.verify(second.body, second.headers)
  })

  await check('the feed tells the same', async () => {
    const { events, next } = await feed(start.next)
    const found = events.filter((event) => event.subject === id)
    assert.deepEqual(found, [JSON.parse(first.body)])
    assert.equal(next, events.at(-1).sequence)
    assert.ok(new CloudEvent(found[0]).validate())
  })

  await check('an event may be asked for again', async () => {
    const seen = deliveries.length
    const { sequence } = JSON.parse(first.body)
    const after = String(BigInt(sequence) - 1n)
    const asked = await call('POST', '/v1/events/redeliveries', { after })
    assert.equal(asked.status, 202, JSON.stringify(asked.body))
    assert.ok(asked.body.count >= 1)
    const again = await delivered(seen, about(id))
    assert.equal(again.id, first.id)
    webhook.verify(again.body, again.headers)
  })
} finally {
  await restore()
  endpoint.close()
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
