/** What the receivers of these tests are told with. */
export const secret = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`

export interface Message {
  readonly id: string
  readonly headers: Headers
  readonly text: string
  readonly body: any
}

/** Somebody who listens, and answers with these before answering 200; a promise holds such an answer back. */
export function startReceiver() {
  const messages: Message[] = []
  const waiting = new Set<() => void>()
  const statuses: (number | Response | Promise<unknown>)[] = []
  const server = Bun.serve({
    port: 0,
    hostname: 'localhost',
    async fetch(request) {
      const text = await request.text()
      const { headers } = request
      const id = headers.get('webhook-id') ?? ''
      messages.push({ id, headers, text, body: JSON.parse(text) })
      for (const check of waiting) check()
      const next = statuses.shift()
      if (next instanceof Response) return next
      if (typeof next === 'object') await next
      return new Response(null, { status: typeof next === 'number' ? next : 200 })
    },
  })
  return {
    url: `http://localhost:${server.port}/hook`,
    messages,
    statuses,
    arrived(count: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      const check = (): void => {
        if (messages.length < count) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
      return promise
    },
    clear() {
      messages.length = 0
      statuses.length = 0
    },
    stop: () => server.stop(true),
  }
}
