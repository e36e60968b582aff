// The response of fastify-healthz when a probe passes, byte for byte. Each run compares it with the real one.
export const headers = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
}
export const body = Buffer.from('{"status":200,"title":"OK"}')
