import { readFileSync, writeFileSync } from 'node:fs'

const begins = command => `<!-- Written by \`${command}\`, down to the next comment. -->`
const END = '<!-- Down to here. -->'

/** Puts text between the two comments of a document, in place of what was there. */
export function putInto (file, text, command = 'npm run bench') {
  const document = readFileSync(file, 'utf8')
  const comment = begins(command)
  const begin = document.indexOf(comment)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`No place for the table in ${file}`)
  writeFileSync(file, `${document.slice(0, begin + comment.length)}\n\n${text}\n\n${document.slice(end)}`)
}
