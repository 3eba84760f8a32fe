import type { Logger } from '#core/log.ts'

import type { Db } from './db.ts'
import { createSweeper } from './sweep.ts'
import type { Limits } from './sweep.ts'

// Responses that the gateway composed itself and that no provider keeps. Everything is found by id **and** owner: what
// belongs to somebody else does not exist.

/** An item of a conversation as JSON text, with its id where it has one. */
export interface StoredItem {
  readonly id: string | undefined
  readonly text: string
}

export interface NewResponse {
  readonly id: string
  /** Who may see it: a hash, or empty for whoever calls without a key of their own. */
  readonly owner: string
  /** The stored response that it continues. */
  readonly previousId: string | undefined
  readonly provider: string
  readonly model: string | undefined
  /** JSON text of the response object without `output`; it has other members. */
  readonly head: string
  /** What was new in its input. */
  readonly input: readonly StoredItem[]
  readonly output: readonly StoredItem[]
}

export interface StoredResponse {
  readonly id: string
  readonly provider: string
  readonly model: string | undefined
  /** JSON text of the whole response object. */
  readonly text: string
}

/** A conversation up to and including a response. */
export type Chain =
  | { readonly kind: 'found'; readonly items: readonly string[] }
  /** There is no such response, or one that came before it is gone. */
  | { readonly kind: 'missing'; readonly id: string }
  | { readonly kind: 'too_long' }

export interface Page {
  readonly items: readonly StoredItem[]
  readonly hasMore: boolean
}

export interface PageRequest {
  readonly after: string | undefined
  readonly limit: number
  readonly order: 'asc' | 'desc'
}

/** Every method throws `GatewayError` `store_unavailable` when the database cannot be used. */
export interface ResponseStore {
  /** Whether something put now would be kept, as far as is known. */
  isUsable(): boolean
  /**
   * Keeps a response; when it returns the response is committed. False when it is larger than what may be kept, or its
   * id is taken. Not a promise: whether it was kept is said in the very object that is being sent.
   */
  put(response: NewResponse, limits: Limits): boolean
  get(id: string, owner: string, limits: Limits): Promise<StoredResponse | undefined>
  /** Whether there was one. */
  delete(id: string, owner: string): Promise<boolean>
  /** Input and output of the response and of all before it, oldest first. */
  chain(id: string, owner: string, limits: Limits): Promise<Chain>
  /** What the model was shown: the chain before it and its own input. `bad_cursor`: `after` is none of them. */
  inputItems(
    id: string,
    owner: string,
    page: PageRequest,
    limits: Limits,
  ): Promise<Page | 'bad_cursor' | undefined>
  /** Items by their ids; what is not there is not in the result. */
  items(ids: readonly string[], owner: string, limits: Limits): Promise<ReadonlyMap<string, string>>
  /** Removes what is too old or too much, now. */
  sweep(limits: Limits): Promise<void>
  /** Sweeps now and then until it is closed. */
  keepTidy(limitsNow: () => Limits, everyMs?: number): void
  close(): void
}

/** Responses that one conversation may have. */
const maxDepth = 500
/** JSON characters of a conversation: no model reads more, and every turn would carry it. */
const maxChainBytes = 64 * 1024 * 1024
/** Writing one holds up everybody else. */
const maxResponseBytes = 32 * 1024 * 1024
/** Without a file, whatever the configuration allows for one. */
const maxMemoryBytes = 64 * 1024 * 1024

interface Link {
  readonly id: string
  readonly previous_id: string | null
  readonly bytes: number
}

interface Row {
  readonly id: string
  readonly provider: string
  readonly model: string | null
  readonly body: string
}

const insertResponse = `
  INSERT INTO responses (id, owner, previous_id, provider, model, created_at_ms, bytes, body)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING`
const insertItem = `
  INSERT INTO response_items (response_id, is_output, place, id, body) VALUES (?1, ?2, ?3, ?4, ?5)`
const selectResponse = `
  SELECT id, provider, model, body FROM responses WHERE id = ?1 AND owner = ?2 AND created_at_ms >= ?3`
const selectItems = `
  SELECT body FROM response_items WHERE response_id = ?1 AND is_output >= ?2 ORDER BY is_output, place`
const selectItemIds = `
  SELECT id, place, is_output FROM response_items
  WHERE response_id = ?1 AND is_output <= ?2 ORDER BY is_output, place`
const selectItem = `
  SELECT body FROM response_items WHERE response_id = ?1 AND is_output = ?2 AND place = ?3`
const selectItemById = `
  SELECT i.body FROM response_items i JOIN responses r ON r.id = i.response_id
  WHERE i.id = ?1 AND r.owner = ?2 AND r.created_at_ms >= ?3 ORDER BY r.created_at_ms LIMIT 1`
const selectChain = `
  WITH RECURSIVE chain (id, previous_id, bytes, depth) AS (
    SELECT id, previous_id, bytes, 0 FROM responses WHERE id = ?1 AND owner = ?2 AND created_at_ms >= ?3
    UNION ALL
    SELECT r.id, r.previous_id, r.bytes, depth + 1 FROM responses r JOIN chain c ON r.id = c.previous_id
    WHERE r.owner = ?2 AND r.created_at_ms >= ?3 AND depth < ?4
  ) SELECT id, previous_id, bytes FROM chain ORDER BY depth DESC`
const deleteResponse = `DELETE FROM responses WHERE id = ?1 AND owner = ?2 RETURNING bytes`
const deleteItems = `DELETE FROM response_items WHERE response_id = ?1`

export function createResponseStore(
  db: Db,
  log: Logger,
  now: () => number = Date.now,
): ResponseStore {
  const sweeper = createSweeper(db, log, now)
  const within = (limits: Limits): Limits =>
    db.isInMemory && limits.maxBytes > maxMemoryBytes
      ? { ...limits, maxBytes: maxMemoryBytes }
      : limits
  const oldest = ({ maxAgeMs }: Limits): number => now() - maxAgeMs

  function links(id: string, owner: string, limits: Limits): readonly Link[] {
    return db.use((sqlite) =>
      sqlite
        .query<Link, [string, string, number, number]>(selectChain)
        .all(id, owner, oldest(limits), maxDepth),
    )
  }

  return {
    isUsable: () => db.isUsable(),
    put(response, given) {
      const limits = within(given)
      const { id, owner, previousId, provider, model, head, input, output } = response
      const bytes = [...input, ...output].reduce(
        (sum, item) => sum + item.text.length + rowBytes,
        head.length + rowBytes,
      )
      if (bytes > Math.min(maxResponseBytes, limits.maxBytes)) return false
      const isKept = db.use((sqlite) =>
        sqlite
          .transaction(() => {
            const { changes } = sqlite
              .query(insertResponse)
              .run(id, owner, previousId ?? null, provider, model ?? null, now(), bytes, head)
            if (changes === 0) return false
            const statement = sqlite.query(insertItem)
            for (const [isOutput, items] of [input, output].entries()) {
              for (const [place, item] of items.entries()) {
                statement.run(id, isOutput, place, item.id ?? null, item.text)
              }
            }
            return true
          })
          .immediate(),
      )
      if (isKept) sweeper.added(bytes, limits)
      return isKept
    },
    async get(id, owner, limits) {
      return db.use((sqlite) => {
        const row = sqlite
          .query<Row, [string, string, number]>(selectResponse)
          .get(id, owner, oldest(limits))
        if (!row) return undefined
        const output = sqlite
          .query<{ body: string }, [string, number]>(selectItems)
          .all(id, 1)
          .map(({ body }) => body)
        const text = `${row.body.slice(0, -1)},"output":[${output.join(',')}]}`
        return { id, provider: row.provider, model: row.model ?? undefined, text }
      })
    },
    async delete(id, owner) {
      const bytes = db.use((sqlite) =>
        sqlite
          .transaction(() => {
            const row = sqlite
              .query<{ bytes: number }, [string, string]>(deleteResponse)
              .get(id, owner)
            if (row) sqlite.query(deleteItems).run(id)
            return row?.bytes
          })
          .immediate(),
      )
      if (bytes !== undefined) sweeper.removed(bytes)
      return bytes !== undefined
    },
    async chain(id, owner, limits) {
      const found = links(id, owner, limits)
      const root = found[0]
      if (!root) return { kind: 'missing', id }
      const bytes = found.reduce((sum, link) => sum + link.bytes, 0)
      if (bytes > maxChainBytes || found.length > maxDepth) return { kind: 'too_long' }
      if (root.previous_id !== null) return { kind: 'missing', id: root.previous_id }
      const items = db.use((sqlite) => {
        const statement = sqlite.query<{ body: string }, [string, number]>(selectItems)
        return found.flatMap((link) => statement.all(link.id, 0).map(({ body }) => body))
      })
      return { kind: 'found', items }
    },
    async inputItems(id, owner, page, limits) {
      const found = links(id, owner, limits)
      if (found.length === 0) return undefined
      return db.use((sqlite) => {
        const ids = sqlite.query<
          { id: string | null; place: number; is_output: number },
          [string, number]
        >(selectItemIds)
        const all = found.flatMap((link) =>
          // The output of the response itself is not what the model was shown.
          ids.all(link.id, link.id === id ? 0 : 1).map((item) => ({ ...item, response: link.id })),
        )
        if (page.order === 'desc') all.reverse()
        const { after } = page
        const at = after === undefined ? 0 : all.findIndex((item) => item.id === after) + 1
        if (after !== undefined && at === 0) return 'bad_cursor'
        const one = sqlite.query<{ body: string }, [string, number, number]>(selectItem)
        const items = all.slice(at, at + page.limit).flatMap((item) => {
          const row = one.get(item.response, item.is_output, item.place)
          return row ? [{ id: item.id ?? undefined, text: row.body }] : []
        })
        return { items, hasMore: at + page.limit < all.length }
      })
    },
    async items(ids, owner, limits) {
      return db.use((sqlite) => {
        const statement = sqlite.query<{ body: string }, [string, string, number]>(selectItemById)
        const found = new Map<string, string>()
        for (const id of ids) {
          const row = statement.get(id, owner, oldest(limits))
          if (row) found.set(id, row.body)
        }
        return found
      })
    },
    sweep: (limits) => sweeper.sweep(within(limits)),
    keepTidy: (limitsNow, everyMs) => sweeper.keepTidy(() => within(limitsNow()), everyMs),
    close() {
      sweeper.close()
      db.close()
    },
  }
}

/** What a row costs beyond its text, roughly. */
const rowBytes = 100
