// An invented citizen at a browser: walks the gateway's own pages by HTML forms, links and cookies alone, as a browser
// without script would. Knows nothing of the gateway but what its pages say.

import assert from 'node:assert/strict'

const TIMEOUT_MS = 30_000
const PAGES_MAX = 60

const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`))
  return found && found[1].replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
}

// Every form of a page: where it goes, what it brings, and what can be chosen in it.
function forms(page) {
  return [...page.matchAll(/<form\s([^>]*)>([\s\S]*?)<\/form>/g)].map(([, head, inside]) => {
    const tags = [...inside.matchAll(/<(?:input|button)\b[^>]*>/g)].map(([tag]) => tag).filter((tag) => attribute(tag, 'name'))
    const fields = tags.map((tag) => ({ name: attribute(tag, 'name'), value: attribute(tag, 'value') ?? '', type: attribute(tag, 'type') }))
    return {
      action: attribute(` ${head}`, 'action'),
      brought: fields.filter((field) => field.type === 'hidden'),
      offered: fields.filter((field) => field.type !== 'hidden'),
    }
  })
}

export class Citizen {
  constructor(sandbox, iin) {
    this.origin = new URL(sandbox.api).origin
    this.iin = iin
    this.cookies = new Map()
    this.pages = []
  }

  // Follows a client's wish, and decides; gives the URL that the browser is sent back to. Every account that is offered is
  // chosen; of accounts to pay from, the first.
  async decide(url, decision = 'approve') {
    let request = { method: 'GET', url: new URL(url) }
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const shown = await this.open(request)
      if (shown.left) return shown.left
      request = await this.onward(shown, (form) => {
        const button = form.offered.find((field) => field.name === 'decision' && field.value === decision)
        if (!button) return null
        const chosen = [...form.offered.filter((field) => field.name === 'account'), ...form.offered.filter((field) => field.name === 'debtor').slice(0, 1)]
        return [...form.brought, button, ...chosen]
      })
    }
    throw new Error(`the pages do not end: ${this.pages.join(', ')}`)
  }

  // Takes a consent back on the page of one's own consents.
  async revoke(consent) {
    let request = { method: 'GET', url: new URL('/oauth/consents?lang=en', this.origin) }
    let asked = false
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const shown = await this.open(request)
      assert.ok(!shown.left, `led to ${shown.left}`)
      if (asked) return
      const taking = (form) => (form.brought.some((field) => field.value === consent) ? form.brought : null)
      asked = forms(shown.page).some(taking)
      request = await this.onward(shown, taking)
    }
    throw new Error(`the pages do not end: ${this.pages.join(', ')}`)
  }

  async onward({ page, url }, wanted) {
    for (const form of forms(page)) {
      const fields = wanted(form)
      if (fields) return this.submit(form, fields, url)
    }
    for (const form of forms(page)) {
      const number = form.offered.find((field) => field.name === 'iin')
      if (number) return this.submit(form, [...form.brought, { name: 'iin', value: this.iin }], url)
    }
    // The provider's page leads back by a link; the waiting page by itself.
    const back = page.match(/<a\s[^>]*class="back"[^>]*>/) ?? page.match(/<a\s[^>]*class="button main"[^>]*>/)
    assert.ok(back, `nothing to do on the page ${this.pages.at(-1)}: ${page.slice(0, 2000)}`)
    await new Promise((resolve) => setTimeout(resolve, 300))
    return { method: 'GET', url: new URL(attribute(back[0], 'href'), url) }
  }

  submit(form, fields, url) {
    const body = new URLSearchParams(fields.map(({ name, value }) => [name, value]))
    return { method: 'POST', url: new URL(form.action, url), body }
  }

  // Opens a page and follows where it leads; `left` is a place that is neither the gateway's nor a provider's.
  async open(request) {
    for (let hop = 0; hop < PAGES_MAX; hop += 1) {
      const ours = request.url.origin === this.origin
      const headers = { accept: 'text/html', 'accept-language': 'en' }
      if (ours && this.cookies.size) headers.cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const { method, body } = request
      const response = await fetch(request.url, { method, body, headers, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
      for (const cookie of ours ? response.headers.getSetCookie() : []) {
        const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/)
        if (value) this.cookies.set(name, value)
        else this.cookies.delete(name)
      }
      const location = response.headers.get('location')
      if (!location) {
        const page = await response.text()
        this.pages.push(page.match(/<title>([^<]*)</)?.[1] ?? '(no title)')
        return { page, url: request.url, status: response.status }
      }
      // After what a citizen has sent, only 303 never sends it again (FAPI 2.0).
      assert.equal(response.status, 303, `${response.status} to ${location}`)
      const url = new URL(location, request.url)
      const answer = url.searchParams.has('code') || url.searchParams.has('error')
      if (url.origin !== this.origin && (answer || url.hostname !== '127.0.0.1')) return { left: url }
      request = { method: 'GET', url }
    }
    throw new Error('the pages lead around in a circle')
  }
}
