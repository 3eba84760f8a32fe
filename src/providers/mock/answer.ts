// What an endpoint of the mock gives back before faults and HTTP get at it.

/** One piece of a stream: a server-sent event, a line, a binary message. */
export type Frame = string | Uint8Array<ArrayBuffer>

/** Status, type and body; a list is a stream, one frame each. */
export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: Frame | readonly Frame[]
  readonly headers?: Readonly<Record<string, string>>
}

const jsonType = 'application/json'
const eventStreamType = 'text/event-stream; charset=utf-8'

/** The frame that ends chat and completion streams. */
export const DONE = 'data: [DONE]\n\n'

/** A JSON answer. */
export function json(value: unknown, status = 200): Answer {
  return { status, contentType: jsonType, body: JSON.stringify(value) }
}

/** A stream of finished frames. */
export function events(frames: readonly string[]): Answer {
  return { status: 200, contentType: eventStreamType, body: frames }
}

/** Bytes or text of a given type. */
export function content(body: string | Uint8Array<ArrayBuffer>, contentType: string): Answer {
  return { status: 200, contentType, body }
}

/** A `data:`-only event. */
export function dataFrame(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`
}

/** The data of an event that says what it is. */
export interface TypedEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** An event whose name repeats the `type` of its data. */
export function typedFrame(value: TypedEvent): string {
  return `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`
}

/** The parts of an error that differ from case to case. */
export interface Problem {
  readonly status: number
  readonly message: string
  readonly type?: string
  readonly param?: string | null
  readonly code?: string | null
}

/** OpenAI's error object. */
export function errorObject(problem: Problem): {
  message: string
  type: string
  param: string | null
  code: string | null
} {
  return {
    message: problem.message,
    type: problem.type ?? 'invalid_request_error',
    param: problem.param ?? null,
    code: problem.code ?? null,
  }
}

/** An error in OpenAI's shape. */
export function failure(problem: Problem): Answer {
  return json({ error: errorObject(problem) }, problem.status)
}

/** Thrown by endpoints to answer with an error. */
export class MockFailure extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.message)
    this.problem = problem
  }
}

/** A required parameter that is not there. */
export function missing(param: string): MockFailure {
  return new MockFailure({
    status: 400,
    message: `Missing required parameter: '${param}'.`,
    param,
    code: 'missing_required_parameter',
  })
}

/** A parameter of the wrong kind. */
export function invalid(param: string, expected: string): MockFailure {
  return new MockFailure({
    status: 400,
    message: `Invalid value for '${param}': expected ${expected}.`,
    param,
    code: 'invalid_value',
  })
}

/** A stored thing that does not exist (any more). */
export function notFound(noun: string, id: string): MockFailure {
  return new MockFailure({ status: 404, message: `No ${noun} found with id '${id}'.`, param: 'id' })
}
