import { readFileSync, writeFileSync } from 'node:fs'

const BEGIN = '<!-- Written by `npm run bench`, down to the next comment. -->'
const END = '<!-- Down to here. -->'

/** Puts text between the two comments of a document, in place of what was there. */
export function putInto (file, text) {
  const document = readFileSync(file, 'utf8')
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`No place for the table in ${file}`)
  writeFileSync(file, `${document.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`)
}
