// Walks the citizens' pages in a real browser (Chromium, headless, with scripts switched off), as a person would: looks,
// types, clicks. What a browser refuses, such as a redirect that the page's own policy forbids, fails here.
//
//     NODE_EXTRA_CA_CERTS=<ca_cert of sandbox.json> node browser.js <path of sandbox.json> [folder for screenshots]
//
// The browser is `chromium` on the path, or `CHROMIUM`; the folder may also stand in `QAQPA_PICTURES`. Prints one line for each check and `N passed, N failed` at the end;
// exits with 1 if any failed.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import { WebSocket } from 'undici'

// Nothing takes longer: the gateway's own longest time-out is a minute.
const PATIENCE_MS = 60_000

const [file, pictures = process.env.QAQPA_PICTURES] = process.argv.slice(2)
if (!file) {
  console.error('usage: NODE_EXTRA_CA_CERTS=<ca_cert> node browser.js <path of sandbox.json> [folder for screenshots]')
  process.exit(2)
}
const sandbox = JSON.parse(await readFile(file, 'utf8'))
const issuer = new URL(sandbox.issuer)
const signal = () => AbortSignal.timeout(PATIENCE_MS)
if (pictures) await mkdir(pictures, { recursive: true })

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

// ---- the browser, by its own protocol

class Browser {
  static async start() {
    const profile = await mkdtemp(path.join(tmpdir(), 'qaqpa-browser-'))
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', `--user-data-dir=${profile}`,
      // The sandbox's authority and no other: as if a citizen's browser knew it.
      `--ignore-certificate-errors-spki-list=${await spki(sandbox)}`, '--remote-debugging-port=0', 'about:blank']
    const child = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio: ['ignore', 'ignore', 'pipe'] })
    const place = await new Promise((resolve, reject) => {
      let said = ''
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`the browser ended with ${code}: ${said.slice(-500)}`)))
      child.stderr.on('data', (bytes) => {
        said += bytes
        const found = /DevTools listening on (ws:\S+)/.exec(said)
        if (found) resolve(found[1])
      })
      setTimeout(() => reject(new Error(`the browser does not start: ${said.slice(-500)}`)), PATIENCE_MS).unref()
    })
    const browser = new Browser()
    Object.assign(browser, { profile, child, socket: new WebSocket(place), number: 0, waiting: new Map(), listeners: new Set() })
    await new Promise((resolve, reject) => {
      browser.socket.addEventListener('open', resolve, { once: true })
      browser.socket.addEventListener('error', () => reject(new Error('the browser does not answer')), { once: true })
    })
    browser.socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(data)
      const waiting = browser.waiting.get(message.id)
      if (waiting) {
        browser.waiting.delete(message.id)
        if (message.error) waiting.reject(new Error(`${waiting.method}: ${message.error.message}`))
        else waiting.resolve(message.result)
      } else for (const listener of browser.listeners) listener(message)
    })
    return browser
  }

  send(method, params = {}, sessionId = undefined) {
    const id = (this.number += 1)
    this.socket.send(JSON.stringify({ id, method, params, sessionId }))
    return new Promise((resolve, reject) => this.waiting.set(id, { method, resolve, reject }))
  }

  // A window of its own, with cookies of its own.
  async window(look = {}) {
    const { browserContextId } = await this.send('Target.createBrowserContext')
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    return Page.open(this, sessionId, browserContextId, look)
  }

  async stop() {
    this.socket.close()
    const ended = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill()
    await ended
    await rm(this.profile, { recursive: true, force: true })
  }
}

// SHA-256 of the public key of the server's certificate, which is all that the browser is asked to excuse.
async function spki({ api, ca_cert }) {
  const { connect } = await import('node:tls')
  const url = new URL(api)
  const ca = await readFile(ca_cert)
  const certificate = await new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), ca, servername: 'localhost' }, () => {
      resolve(socket.getPeerX509Certificate())
      socket.end()
    })
    socket.once('error', reject)
  })
  const der = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return Buffer.from(await crypto.subtle.digest('SHA-256', der)).toString('base64')
}

class Page {
  static async open(browser, session, context, { language = 'en', width = 1280, height = 900, dark = false } = {}) {
    const page = new Page()
    Object.assign(page, { browser, session, context, complaints: [], arrived: undefined, loaded: 0 })
    browser.listeners.add((message) => message.sessionId === session && page.hears(message))
    for (const domain of ['Page', 'DOM', 'Network', 'Log']) await page.send(`${domain}.enable`)
    await page.send('Emulation.setScriptExecutionDisabled', { value: true })
    await page.send('Network.setExtraHTTPHeaders', { headers: { 'accept-language': language } })
    await page.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: width < 600 ? 2 : 1, mobile: width < 600 })
    await page.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] })
    // Clients' own places are nowhere: what would be asked of them is answered here.
    await page.send('Fetch.enable', { patterns: [{ urlPattern: '*.example/*' }] })
    return page
  }

  send(method, params) {
    return this.browser.send(method, params, this.session)
  }

  hears({ method, params }) {
    if (method === 'Page.loadEventFired') this.loaded += 1
    // A browser complains of broken policies here.
    if (method === 'Log.entryAdded' && ['security', 'violation', 'javascript'].includes(params.entry.source)) this.complaints.push(params.entry.text)
    if (method === 'Fetch.requestPaused') {
      const url = new URL(params.request.url)
      if (url.pathname.startsWith('/callback')) {
        this.arrived = { url, referrer: params.request.headers.Referer, method: params.request.method }
      }
      const body = Buffer.from('<!doctype html><title>app</title><p id=app>The app</p>').toString('base64')
      const responseHeaders = [{ name: 'content-type', value: 'text/html' }]
      this.send('Fetch.fulfillRequest', { requestId: params.requestId, responseCode: 200, responseHeaders, body }).catch(() => {})
    }
  }

  async until(what, judge) {
    const end = Date.now() + PATIENCE_MS
    for (;;) {
      const found = await judge()
      if (found) return found
      if (Date.now() > end) throw new Error(`${what} did not come; there is: ${(await this.text()).slice(0, 300)}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async go(url) {
    const before = this.loaded
    await this.send('Page.navigate', { url: String(url) })
    await this.until('the page', () => this.loaded > before)
  }

  async html() {
    for (;;) {
      try {
        const { root } = await this.send('DOM.getDocument', { depth: 0 })
        return (await this.send('DOM.getOuterHTML', { nodeId: root.nodeId })).outerHTML
      } catch {
        // The document has just been left for another.
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }

  async text() {
    const html = (await this.html()).replace(/<style>.*?<\/style>/s, '').replace(/<[^>]*>/g, ' ')
    const plain = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&nbsp;': ' ' }
    return html.replace(/&[a-z#0-9]+;/g, (entity) => plain[entity] ?? entity).replace(/[\s\u00a0]+/g, ' ').trim()
  }

  async find(selector) {
    try {
      const { root } = await this.send('DOM.getDocument', { depth: 0 })
      const { nodeIds } = await this.send('DOM.querySelectorAll', { nodeId: root.nodeId, selector })
      return nodeIds
    } catch {
      return []
    }
  }

  async see(selector) {
    return this.until(selector, async () => (await this.find(selector))[0])
  }

  async click(selector, which = 0) {
    await this.see(selector)
    const nodeId = (await this.find(selector))[which]
    await this.send('DOM.scrollIntoViewIfNeeded', { nodeId })
    const { model } = await this.send('DOM.getBoxModel', { nodeId })
    const [x1, y1, , , x3, y3] = model.border
    const at = { x: (x1 + x3) / 2, y: (y1 + y3) / 2, button: 'left', clickCount: 1 }
    await this.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at })
    await this.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at })
  }

  async type(selector, text) {
    await this.click(selector)
    await this.send('Input.insertText', { text })
  }

  async picture(name) {
    if (!pictures) return
    const { cssContentSize } = await this.send('Page.getLayoutMetrics')
    const clip = { x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height, scale: 1 }
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip })
    await writeFile(path.join(pictures, `${name}.png`), Buffer.from(data, 'base64'))
  }

  async fits(width) {
    const { cssContentSize } = await this.send('Page.getLayoutMetrics')
    assert.ok(cssContentSize.width <= width, `the page is ${cssContentSize.width} wide on a screen of ${width}`)
  }

  // Nothing was broken of what the pages forbid.
  quiet() {
    assert.deepEqual(this.complaints, [])
  }

  async close() {
    await this.browser.send('Target.disposeBrowserContext', { browserContextId: this.context })
  }
}

// ---- the client that sends citizens

const app = sandbox.clients.find((client) => client.client_id === 'demo-app')
const callback = app.redirect_uris.find((uri) => uri.startsWith('https:'))
const keys = await oauth.generateKeyPair('ES256', { extractable: true })
const client = { client_id: app.client_id }
const auth = oauth.PrivateKeyJwt({ key: await jose.importJWK(app.jwk_private, app.jwk_private.alg), kid: app.jwk_private.kid })
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', signal }))

// Customers from 10 on match, as 1, 2 and 7 do. Each is asked for a few times only: nobody may be bothered without end.
const persona = (number) => sandbox.subjects[number - 1]

// Pushes a request with its terms inline; the client's own values have to come back as they are.
async function pushed(details, scope) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const parameters = new URLSearchParams({
    response_type: 'code',
    redirect_uri: callback,
    scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    authorization_details: JSON.stringify([details]),
  })
  const response = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, { signal })
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri })
  return { url, verifier, state }
}

const access = { type: 'account_information', permissions: ['accounts', 'balances', 'transactions'], purpose: 'A clear view of your household money' }
const SCOPES = 'accounts:read balances:read transactions:read'
const payment = (amount) => ({
  type: 'payment_initiation',
  creditorAccount: { iban: persona(2).iban },
  creditorName: 'Bolat Sandbaev',
  instructedAmount: { amount, currency: 'KZT' },
  knp: '343',
  remittanceInformation: 'Invoice 17, March',
})

async function redeemed({ verifier, state }, arrived) {
  const parameters = oauth.validateAuthResponse(as, client, arrived.url, state)
  const DPoP = oauth.DPoP(client, keys)
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, callback, verifier, { DPoP, signal })
  return oauth.processAuthorizationCodeResponse(as, client, response)
}

async function call(token) {
  const DPoP = oauth.DPoP(client, keys)
  const place = new URL('/v1/accounts', sandbox.api)
  return oauth.protectedResourceRequest(token, 'GET', place, undefined, undefined, { DPoP, signal })
}

// ---- what a citizen does

async function identified(page, number, name) {
  await page.see('#iin')
  if (name) await page.picture(`${name}-1-identify`)
  await page.type('#iin', persona(number).iin)
  await page.click('button.main')
  // The provider's page, on another site: the form's redirect went through.
  await page.see('#return')
  if (name) await page.picture(`${name}-2-provider`)
  await page.click('#return')
}

const LOOKS = [
  { name: 'en-desktop', language: 'en', width: 1280, approve: 'Allow' },
  { name: 'ru-phone', language: 'ru', width: 390, height: 844, approve: 'Разрешить' },
  { name: 'kk-phone-dark', language: 'kk', width: 390, height: 844, dark: true, approve: 'Рұқсат беру' },
  { name: 'ru-desktop-dark', language: 'ru', width: 1280, dark: true, approve: 'Разрешить' },
  { name: 'kk-desktop', language: 'kk', width: 1280, approve: 'Рұқсат беру' },
  { name: 'en-phone', language: 'en', width: 390, height: 844, approve: 'Allow' },
]

const browser = await Browser.start()
let granted

try {
  for (const [index, look] of LOOKS.entries()) {
    const number = 10 + index
    await check(`a citizen allows access to one account (${look.name})`, async () => {
      const request = await pushed(access, SCOPES)
      const page = await browser.window(look)
      await page.go(request.url)
      await page.see('#iin')
      await page.type('#iin', '810202200108')
      await page.click('button.main')
      await page.see('.fault')
      await page.picture(`${look.name}-0-wrong-number`)
      await identified(page, number, look.name)
      await page.see('button[value=approve]')
      const text = await page.text()
      assert.ok(text.includes('Demo Fintech') && text.includes(app.client_id) && text.includes('A clear view of your household money'), text)
      assert.ok(text.includes(look.approve), text)
      assert.ok(!(await page.html()).includes(persona(number).iin), 'the number stands in the page')
      await page.picture(`${look.name}-3-decide`)
      await page.click('button[value=approve]')
      await page.see('.fault')
      await page.picture(`${look.name}-4-nothing-chosen`)
      await page.click('label.pick')
      await page.fits(look.width)
      await page.click('button[value=approve]')
      await page.see('#app')
      assert.equal(page.arrived.method, 'GET')
      assert.equal(page.arrived.referrer, undefined)
      assert.ok(!page.arrived.url.href.includes(persona(number).iin))
      granted = await redeemed(request, page.arrived)
      assert.equal(granted.authorization_details[0].accounts.length, 1)
      page.quiet()
      await page.close()
    })

    await check(`a citizen refuses a payment (${look.name})`, async () => {
      const request = await pushed(payment('1234567.80'), 'payments:write')
      const page = await browser.window(look)
      await page.go(request.url)
      await identified(page, number, `${look.name}-payment`)
      await page.see('button[value=refuse]')
      await page.picture(`${look.name}-5-payment`)
      await page.fits(look.width)
      await page.click('button[value=refuse]')
      await page.see('#app')
      const answer = page.arrived.url.searchParams
      assert.deepEqual([answer.get('error'), answer.get('iss'), answer.get('state'), answer.get('code')], ['access_denied', sandbox.issuer, request.state, null])
      page.quiet()
      await page.close()
    })

    await check(`what does not go on is told (${look.name})`, async () => {
      const request = await pushed(access, SCOPES)
      const page = await browser.window(look)
      await page.go(request.url)
      await identified(page, 3)
      await page.see('h1')
      await page.until('the refusal', async () => (await page.find('form')).length === 2)
      await page.picture(`${look.name}-6-not-confirmed`)
      await page.click('button', 1)
      await page.see('#app')
      assert.equal(page.arrived.url.searchParams.get('error'), 'access_denied')
      await page.go(request.url)
      await page.see('code')
      await page.picture(`${look.name}-7-over`)
      page.quiet()
      await page.close()
    })
  }

  await check('a citizen waits for a provider that says nothing', async () => {
    const request = await pushed(access, SCOPES)
    const page = await browser.window({ language: 'kk', width: 390, height: 844 })
    await page.go(request.url)
    await identified(page, 6)
    await page.see('.wheel')
    await page.picture('kk-phone-8-waiting')
    const before = page.loaded
    await page.until('the page again', () => page.loaded > before)
    page.quiet()
    await page.close()
  })

  await check('a citizen whose accounts were not asked for can only refuse', async () => {
    const request = await pushed({ ...payment('100.00'), debtorAccount: { iban: persona(1).iban } }, 'payments:write')
    const page = await browser.window({ language: 'ru' })
    await page.go(request.url)
    await identified(page, 2)
    await page.until('the page', async () => (await page.text()).includes('Среди этих счетов нет ваших'))
    await page.picture('ru-desktop-9-foreign')
    await page.click('button')
    await page.see('#app')
    assert.equal(page.arrived.url.searchParams.get('error'), 'access_denied')
    page.quiet()
    await page.close()
  })

  await check('a language that is chosen stays', async () => {
    const request = await pushed(access, SCOPES)
    const page = await browser.window({ language: 'en' })
    await page.go(request.url)
    await page.see('#iin')
    await page.click('a[lang=kk]')
    await page.until('Kazakh', async () => (await page.text()).includes('Бұл өзіңіз екенін растаңыз'))
    await identified(page, 1)
    await page.until('Kazakh', async () => (await page.text()).includes('Шоттарды таңдаңыз'))
    page.quiet()
    await page.close()
  })

  for (const look of LOOKS.slice(0, 3)) {
    await check(`a citizen takes back a consent (${look.name})`, async () => {
      const number = 20 + LOOKS.indexOf(look)
      for (const details of [access, payment('990.00')]) {
        const request = await pushed(details, details === access ? SCOPES : 'payments:write')
        const page = await browser.window()
        await page.go(request.url)
        await identified(page, number)
        await page.click('label.pick', 1)
        await page.click('button[value=approve]')
        await page.see('#app')
        const answer = await redeemed(request, page.arrived)
        if (details === access) granted = answer
        await page.close()
      }
      assert.equal((await call(granted.access_token)).status, 200)
      const page = await browser.window(look)
      await page.go(new URL('/oauth/consents', sandbox.api))
      await page.see('#iin')
      await page.picture(`${look.name}-own-1`)
      await identified(page, number)
      await page.see('section.consent button')
      assert.equal((await page.find('section.consent')).length, 2)
      await page.fits(look.width)
      await page.picture(`${look.name}-own-2-list`)
      for (const left of [1, 0]) {
        await page.click('section.consent button')
        await page.until('one less', async () => (await page.find('section.consent')).length === 2 && (await page.find('section.consent button')).length === left)
        await page.picture(`${look.name}-own-3-taken-back-${left}`)
      }
      await page.click('main > form button')
      await page.until('the end', async () => (await page.find('h1')).length === 1 && (await page.find('form')).length === 0)
      await page.picture(`${look.name}-own-4-left`)
      await assert.rejects(() => call(granted.access_token), (error) => error instanceof oauth.WWWAuthenticateChallengeError)
      page.quiet()
      await page.close()
    })
  }
} finally {
  await browser.stop()
}

console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
