/**
 * The format of response bodies. The build turns the schemas into plain JSON Schema and the types into plain types
 * (see `scripts/build.mjs`), so the package doesn't depend on TypeBox.
 */
import { Type, type Static } from '@sinclair/typebox'

export const CheckData = Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Boolean(), Type.Null()]), {
  title: 'CheckData',
  description: 'Data that the check set for operators'
})
/** Data that a check set for operators, by name. Frozen. */
export type CheckData = Static<typeof CheckData>

export const CheckReport = Type.Object({
  status: Type.Union([Type.Literal('pass'), Type.Literal('warn'), Type.Literal('fail')], {
    description: '"warn": the check failed, but the failure is tolerated or the check is not critical, so the probe passes'
  }),
  title: Type.Optional(Type.String({ description: 'The reason for the failure' })),
  durationMs: Type.Union([Type.Number(), Type.Null()], { description: 'The duration of the run; null before the first one' }),
  checkedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'The start of the run; null before the first one'
  }),
  data: Type.Optional(CheckData)
}, {
  title: 'CheckReport',
  description: 'The last result of a check'
})
/** The last result of a check, as shown to those who may see details. */
export type CheckReport = Static<typeof CheckReport>

export const Hold = Type.Object({
  name: Type.String(),
  heldMs: Type.Number({ description: 'Time since it was taken, in ms' })
}, {
  title: 'Hold',
  description: 'A hold, which keeps a drain from ending and the app from closing'
})
/** A hold, which keeps a drain from ending and the app from closing, such as a job in flight. */
export type Hold = Static<typeof Hold>

export const Problem = Type.Object({
  status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status code of the response' }),
  title: Type.String({ description: '"OK", or the reason for the failure' }),
  checks: Type.Optional(Type.Record(Type.String(), CheckReport, { description: 'The checks by name, if details are allowed' })),
  bootMs: Type.Optional(Type.Number({ description: 'Duration of the boot in ms, in the details of the startup probe' })),
  holds: Type.Optional(Type.Array(Hold, { description: 'The active holds, in the details' }))
}, {
  title: 'Problem',
  description: 'The state of a probe, as problem details (RFC 9457)'
})
/** The body of every response: problem details (RFC 9457). */
export type Problem = Static<typeof Problem>
