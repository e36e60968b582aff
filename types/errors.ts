/** The codes of the errors with which the plugin refuses to boot. */
export type HealthzErrorCode =
  | 'HEALTHZ_ERR_ALREADY_REGISTERED'
  | 'HEALTHZ_ERR_CHECK_EXPORT'
  | 'HEALTHZ_ERR_CHECK_LOAD'
  | 'HEALTHZ_ERR_CHECK_LOAD_TIMEOUT'
  | 'HEALTHZ_ERR_OPTION_INVALID'
  | 'HEALTHZ_ERR_OPTION_UNKNOWN'
