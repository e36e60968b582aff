import type { FastifyServerOptions } from 'fastify'

export type LogLine = Record<string, any> & { level: number, msg: string }

/** A `logger` option for Fastify and the lines that it wrote, parsed, but for the one that each boot has. */
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
