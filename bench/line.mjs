// The lines of the table: a measurement, its reference and the result.
import { median, ratio } from './statistics.mjs'

/** A line that compares the CPU time per request of two servers, and has the throughput of both. */
export function comparison (row, [what, subject], [against, reference], target = '', judge = () => '') {
  const estimated = ratio(subject.cpu, reference.cpu)
  return {
    row,
    what,
    figure: micros(median(subject.cpu)),
    against,
    reference: micros(median(reference.cpu)),
    ratio: estimated,
    rates: `${perSecond(subject)} / ${perSecond(reference)}`,
    target,
    result: judge(estimated)
  }
}

/** A line for a peer that couldn't be measured, with the reason. */
export function absence (row, what, reason) {
  return { row, what, result: `not measured: ${reason}` }
}

export function micros (value) {
  return `${value.toFixed(value < 10 ? 2 : 1)} µs`
}

export function perSecond ({ rate }) {
  return Math.round(median(rate)).toLocaleString('en')
}
