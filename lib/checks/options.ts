import { expectRecord, refuseUnknown } from '../validate.js'

/**
 * Reads the options of a ready-made check.
 * @param check its name, for errors
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function readOptions<Options extends object> (
  check: string, options: Options, known: ReadonlyArray<keyof Options & string>
): { readonly [name in keyof Options]: unknown } {
  const given = expectRecord(`options of ${check}()`, options, 'an object')
  refuseUnknown(`${check}().`, given, known)
  return given as { readonly [name in keyof Options]: unknown }
}
