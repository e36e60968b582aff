/**
 * What goes over the wire. This is the one place where it is written down; the build turns each schema into plain
 * JSON Schema and each type into a plain type (see `scripts/build.mjs`), so that what ships needs no TypeBox.
 */
import { Type, type Static } from '@sinclair/typebox'

export const CheckReport = Type.Object({
  status: Type.Union([Type.Literal('pass'), Type.Literal('warn'), Type.Literal('fail')], {
    description: '"warn" is the failure of a check that is not critical: the probe passes'
  }),
  title: Type.Optional(Type.String({ description: 'What is wrong' })),
  durationMs: Type.Union([Type.Number(), Type.Null()], { description: 'How long the check took; null before its first run' }),
  checkedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When the check started; null before its first run'
  })
}, {
  title: 'CheckReport',
  description: 'The last result of a check'
})
/** The last result of a check, as an operator sees it. */
export type CheckReport = Static<typeof CheckReport>

export const Problem = Type.Object({
  status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status code of the answer, once more' }),
  title: Type.String({ description: '"OK", or what is wrong, in words that may be shown to anybody' }),
  checks: Type.Optional(Type.Record(Type.String(), CheckReport, { description: 'The checks by name, for an operator who asks' }))
}, {
  title: 'Problem',
  description: 'The state of a probe, as problem details (RFC 9457)'
})
/** The body of every answer: problem details (RFC 9457). */
export type Problem = Static<typeof Problem>
