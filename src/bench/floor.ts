// The floor: the least a proxy in Bun can do. What the gateway costs is told as a ratio to this, measured in the
// same run, because absolute figures do not travel between machines.

/** A bare proxy in front of `upstream`, on a free port of 127.0.0.1. */
export function startFloor(upstream: string): { url: string; stop: () => void } {
  const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-bench' }
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const body = await request.text()
      const answer = await fetch(`${upstream}/v1/chat/completions`, {
        method: 'POST',
        headers,
        body,
      })
      const type = answer.headers.get('content-type') ?? 'application/json'
      const streams = type.startsWith('text/event-stream')
      return new Response(streams ? answer.body : await answer.text(), {
        headers: { 'content-type': type },
      })
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, stop: () => void server.stop(true) }
}
