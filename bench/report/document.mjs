import { readFileSync, writeFileSync } from 'node:fs'

const begins = command => `<!-- Written by \`${command}\`, down to the next comment. -->`
const END = '<!-- Down to here. -->'

/** Replaces the text between the two comments in a page. */
export function putInto (file, text, command = 'npm run bench') {
  const document = readFileSync(file, 'utf8')
  const comment = begins(command)
  const begin = document.indexOf(comment)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${file} has no comments that enclose the table`)
  writeFileSync(file, `${document.slice(0, begin + comment.length)}\n\n${text}\n\n${document.slice(end)}`)
}
