import { newId } from '#lib/id.ts'

import {
  type Answer,
  errorObject,
  invalid,
  json,
  missing,
  MockFailure,
  notFound,
} from './answer.ts'
import { keepFile } from './files.ts'
import { page, type StoredObject } from './memory.ts'
import type { MockRequest } from './request.ts'
import { record, stringOf } from './wire.ts'

const day = 86_400
const maxLines = 50_000

/** `POST /batches` */
export function createBatch({ body, memory, now }: MockRequest): Answer {
  const input = stringOf(body.input_file_id)
  if (input === undefined) throw missing('input_file_id')
  if (stringOf(body.endpoint) === undefined) throw missing('endpoint')
  if (body.completion_window !== '24h') throw invalid('completion_window', '24h')
  if (!memory.files.get(input)) throw notFound('file', input)
  const id = `batch_${newId()}`
  const object = {
    id,
    object: 'batch',
    endpoint: body.endpoint,
    errors: null,
    input_file_id: input,
    completion_window: '24h',
    status: 'validating',
    output_file_id: null,
    error_file_id: null,
    created_at: now,
    in_progress_at: null,
    expires_at: now + day,
    finalizing_at: null,
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelling_at: null,
    cancelled_at: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: body.metadata ?? null,
  }
  memory.batches.put({ id, object }, 0)
  return json(object)
}

/** `GET /batches` */
export function listBatches({ memory, query }: MockRequest): Answer {
  return json(
    page(
      memory.batches.all().map(({ id, object }) => ({ ...object, id })),
      query,
    ),
  )
}

/** `GET /batches/{id}`: in progress at the first look, done at the second. */
export async function retrieveBatch(request: MockRequest): Promise<Answer> {
  const batch = find(request)
  if (batch.object.status === 'validating') {
    batch.object = { ...batch.object, status: 'in_progress', in_progress_at: request.now }
  } else if (batch.object.status === 'in_progress') {
    // Finishing takes a while; whoever looks meanwhile must not finish it a second time.
    batch.object = { ...batch.object, status: 'finalizing', finalizing_at: request.now }
    batch.object = await finish(request, batch)
  }
  return json(batch.object)
}

/** `POST /batches/{id}/cancel` */
export function cancelBatch(request: MockRequest): Answer {
  const batch = find(request)
  const { status } = batch.object
  if (status !== 'validating' && status !== 'in_progress') {
    throw new MockFailure({
      status: 409,
      message: `Batch '${batch.id}' is already ${String(status)}.`,
    })
  }
  const { now } = request
  batch.object = { ...batch.object, status: 'cancelled', cancelling_at: now, cancelled_at: now }
  return json(batch.object)
}

function find({ memory, params }: MockRequest): StoredObject {
  const id = params.batch_id!
  const batch = memory.batches.get(id)
  if (!batch) throw notFound('batch', id)
  return batch
}

async function finish(request: MockRequest, batch: StoredObject): Promise<Record<string, unknown>> {
  const { memory, now } = request
  const input = memory.files.get(String(batch.object.input_file_id))
  const lines = new TextDecoder()
    .decode(input?.bytes)
    .split('\n')
    .filter((line) => line.trim() !== '')
  const problem = input ? problemOf(lines) : 'The input file is gone.'
  if (problem !== undefined) {
    const errors = {
      object: 'list',
      data: [{ code: 'invalid_json_line', message: problem, line: null, param: null }],
    }
    return { ...batch.object, status: 'failed', failed_at: now, errors }
  }
  const good: string[] = []
  const bad: string[] = []
  for (const line of lines) {
    const { custom_id, url, body } = record(JSON.parse(line))
    const { status, body: said } = await answerLine(request, url, body)
    const result = {
      id: `batch_req_${newId()}`,
      custom_id,
      response: { status_code: status, request_id: `req_${newId()}`, body: JSON.parse(said) },
      error: null,
    }
    ;(status < 400 ? good : bad).push(JSON.stringify(result))
  }
  return {
    ...batch.object,
    status: 'completed',
    completed_at: now,
    output_file_id: good.length > 0 ? keepLines(request, 'output', good) : null,
    error_file_id: bad.length > 0 ? keepLines(request, 'error', bad) : null,
    request_counts: { total: lines.length, completed: good.length, failed: bad.length },
  }
}

function problemOf(lines: readonly string[]): string | undefined {
  if (lines.length > maxLines) return `The input has more than ${maxLines} lines.`
  const broken = lines.findIndex((line) => !isJson(line))
  return broken === -1 ? undefined : `Line ${broken + 1} is not JSON.`
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

async function answerLine(
  request: MockRequest,
  url: unknown,
  body: unknown,
): Promise<{ status: number; body: string }> {
  const { status, body: said } = await request.run(String(url), { ...record(body), stream: false })
  if (typeof said === 'string') return { status, body: said }
  const message = `'${String(url)}' cannot be batched.`
  const error = errorObject({ status: 400, message, param: 'url' })
  return { status: 400, body: JSON.stringify({ error }) }
}

function keepLines(request: MockRequest, kind: string, lines: readonly string[]): unknown {
  const bytes = new TextEncoder().encode(`${lines.join('\n')}\n`)
  return keepFile(request, { filename: `batch_${kind}.jsonl`, purpose: 'batch_output', bytes }).id
}
