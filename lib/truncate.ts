/** Maximum size of a body, below the 10 KiB that the kubelet reads (`maxRespBodyLength` in its pkg/probe/http), in bytes. */
export const MAX_BODY_BYTES = 10 * 1024 - 1

/** Truncates a text to the given number of bytes within a JSON string, without splitting a surrogate pair. */
export function truncate (text: string, bytes: number): string {
  if (text.length <= bytes && bytesOf(text) <= bytes) return text
  const ellipsis = '…'
  let left = bytes - bytesOf(ellipsis)
  let end = 0
  // Appends parts of decreasing size while they fit, so each part of the text is measured only a few times.
  for (let step = 2 ** Math.floor(Math.log2(bytes)); step >= 1; step /= 2) {
    for (;;) {
      const last = end + step - 1
      // A surrogate pair isn't split.
      const to = text.codePointAt(last)! > 0xffff ? last : last + 1
      const size = bytesOf(text.slice(end, to))
      if (size === 0 || size > left) break
      left -= size
      end = to
    }
  }
  return text.slice(0, end) + ellipsis
}

/** The size of a text within a JSON string. */
function bytesOf (text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
