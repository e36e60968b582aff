// What fastify-healthz answers when a probe passes, byte for byte. A run compares it with the real answer.
export const headers = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
}
export const body = Buffer.from('{"status":200,"title":"OK"}')
