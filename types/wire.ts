/**
 * What goes over the wire. This is the one place where it is written down; the build turns each schema into plain
 * JSON Schema and each type into a plain type (see `scripts/build.mjs`), so that what ships needs no TypeBox.
 */
import { Type, type Static } from '@sinclair/typebox'

export const Problem = Type.Object({
  status: Type.Integer({ minimum: 100, maximum: 599, description: 'The status code of the answer, once more' }),
  title: Type.String({ description: '"OK", or what is wrong, in words that may be shown to anybody' })
}, {
  title: 'Problem',
  description: 'The state of a probe, as problem details (RFC 9457)'
})
/** The body of every answer: problem details (RFC 9457) in two members. */
export type Problem = Static<typeof Problem>
