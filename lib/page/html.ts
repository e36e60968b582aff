/** Text that is HTML, and is not escaped again. */
export class Html {
  constructor (readonly text: string) {}

  get bytes (): number {
    return Buffer.byteLength(this.text)
  }
}

type Value = Html | string | number | undefined | false | readonly Html[]

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
/** Controls would be invisible, and those of direction would turn around what follows. */
const INVISIBLE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

const escape = (text: string) => text.replace(INVISIBLE, '\ufffd').replace(/[&<>"']/g, character => ESCAPES[character]!)

/** Makes HTML from a template: every value in it is escaped, unless it is HTML. */
export function html (strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(strings.map((string, i) => string + text(values[i])).join(''))
}

function text (value: Value): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(({ text }: Html) => text).join('')
  return escape(String(value))
}
