import { aligned } from '../report/table.mjs'
import { PERIOD } from './kubelet.mjs'
import { BLIP, CAPACITY, OUTAGE } from './scenario.mjs'
import { INTERVAL, RETRY_INTERVAL } from './setups.mjs'

const FACTOR = 1.3
/** The worst case: a check and a probe ran just before the recovery, so both wait for a whole interval. */
const READY_WITHIN = (RETRY_INTERVAL * 1.1 + PERIOD) / 1000

export const mean = counts => counts.reduce((sum, count) => sum + count, 0) / counts.length
/** The count of the busiest second. */
export const peak = counts => Math.max(...counts)

const count = value => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
const seconds = value => value === Infinity ? 'never' : `${value.toFixed(1)} s`

export function conditions (seed) {
  return `Node.js ${process.versions.node}, seed ${seed}. The database has ${count(CAPACITY)} queries a second left for checks.`
}

/** The mean queries per second at rest and the busiest second, for each size of the fleet. */
export function loads (sizes) {
  return aligned([
    ['queries a second at rest: mean, peak', ...sizes.map(([{ pods }]) => `${count(pods)} pods`)],
    ...sizes[0].map(({ setup }, row) => [setup.name, ...sizes.map(results => {
      const { rest } = results[row]
      return `${count(mean(rest))}, ${count(peak(rest))}`
    })])
  ])
}

/** One row for each setup, for one size of the fleet and one kind of outage. */
export function outages (results) {
  const [{ pods, failure }] = results
  const hangs = failure === 'hangs'
  return aligned([
    [
      `${count(pods)} pods, the database ${failure}`,
      'unready at rest', `unready in ${BLIP / 1000} s`, 'by 1 failure',
      `peak in ${OUTAGE / 1000} s`, ...(hangs ? ['waiting then'] : []), 'peak after',
      '50 % ready', '99 % ready', 'restarts'
    ],
    ...results.map(({ setup, unready, blip, outage, after, backlog, ready50, ready99, restarts }) => [
      setup.name,
      count(unready), count(blip.unready), count(blip.impatient),
      count(peak(outage)), ...(hangs ? [count(backlog)] : []), count(peak(after)),
      seconds(ready50), seconds(ready99), count(restarts)
    ])
  ])
}

/** How long jitter takes to spread pods that started, or recovered, together. */
export function spreading ({ pods, spreading, after }, cold) {
  const ratios = (counts, period) => Array.from({ length: Math.floor(counts.length * 1000 / period) }, (_, n) =>
    peak(counts.slice(n * period / 1000, (n + 1) * period / 1000)) / (pods / period * 1000))
  const shown = [0, 1, 2, 5, 10, 20, 30, 40, 50]
  const row = (name, all) => {
    const last = all.findLastIndex(ratio => ratio > FACTOR)
    return [name, ...shown.map(n => all[n]?.toFixed(1) ?? ''), last === all.length - 1 ? `> ${last}` : String(last + 1)]
  }
  return aligned([
    [`${count(pods)} pods: peak ÷ mean, so many intervals later`, ...shown.map(String), `≤ ${FACTOR} from`],
    row('`interval`, from a start in the same instant', ratios(spreading, INTERVAL)),
    row('`retryInterval`, the same while the database refuses', ratios(cold, RETRY_INTERVAL)),
    row('`interval`, from the end of an outage', ratios(after, INTERVAL))
  ])
}

/** The targets, and whether each is met, for each size of the fleet. */
export function targets (sizes) {
  const head = ['target', ...sizes.map(([{ pods }]) => `${count(pods)} pods`)]
  const rows = ['interval', 'threshold'].filter(id => sizes[0].some(({ setup }) => setup.id === id)).flatMap(id => {
    const of = sizes.map(results => results.filter(({ setup }) => setup.id === id))
    const both = value => results => Math.max(...results.map(value))
    const row = (name, judged) => [`${of[0][0].setup.name}: ${name}`, ...of.map(judged)]
    const highest = (name, expected, counts) => row(`${name}, ≤ ${FACTOR}`, results => {
      const usual = expected(results[0].pods)
      const seconds = results.map(counts)
      return result(both(result => peak(counts(result)))(results) / usual, FACTOR, byChance(usual, seconds.flat().length) / usual)
    })
    return [
      highest('peak at rest ÷ (pods ÷ `interval`)', pods => pods / INTERVAL * 1000, ({ rest }) => rest),
      highest(
        'peak in an outage and after it ÷ (pods ÷ `retryInterval`)',
        pods => pods / RETRY_INTERVAL * 1000,
        ({ outage, after }) => [...outage, ...after]
      ),
      row(`99 % ready after, ≤ ${READY_WITHIN} s`, results => result(both(({ ready99 }) => ready99)(results), READY_WITHIN)),
      row(`pods unready in a blip of ${BLIP / 1000} s, 0`, results => result(both(({ blip }) => blip.unready)(results), 0)),
      ...(id === 'interval'
        ? []
        : [row('the same, unready by 1 failure, 0', results => result(both(({ blip }) => blip.impatient)(results), 0))])
    ]
  })
  return aligned([head, ...rows])
}

function result (figure, limit, chance = limit) {
  const verdict = figure <= limit ? 'met' : figure <= chance ? 'by chance' : 'not met'
  return `${Number(figure.toFixed(2))} ${verdict}`
}

/**
 * The count of the busiest second that queries at random times exceed with a probability of 5 % (Poisson distribution).
 * Few pods can't do better.
 */
function byChance (mean, seconds) {
  // The logarithm, since the probability of small counts underflows.
  let probability = -mean
  let above = 1 - Math.exp(probability)
  let most = 0
  while (above * seconds > 0.05) {
    most++
    probability += Math.log(mean / most)
    above -= Math.exp(probability)
  }
  return most
}
