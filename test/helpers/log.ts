import type { FastifyServerOptions } from 'fastify'

export type LogLine = Record<string, any> & { level: number, msg: string }

/** A `logger` option for Fastify and the parsed lines that it wrote, without the line that every boot logs. */
export function capture (options: object = {}) {
  const lines: LogLine[] = []
  const stream = {
    write (text: string) {
      const line = JSON.parse(text) as LogLine
      if (line.bootMs === undefined) lines.push(line)
    }
  }
  return { lines, stream, logger: { ...options, stream } as FastifyServerOptions['logger'] & object }
}

/** The messages of lines, in order. */
export function messages (lines: LogLine[]): string[] {
  return lines.map(line => line.msg)
}
