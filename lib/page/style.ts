/** The style of the page. Its hash is in the Content-Security-Policy. */
export const STYLE = `
:root { color-scheme: light dark; --text: #1f2328; --dim: #59636e; --line: #d1d9e0; --back: #fff; --card: #f6f8fa;
  --pass: #1a7f37; --warn: #9a6700; --fail: #d1242f; --unknown: #59636e }
@media screen and (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --dim: #9198a1; --line: #3d444d; --back: #0d1117; --card: #151b23;
  --pass: #3fb950; --warn: #d29922; --fail: #f85149; --unknown: #9198a1 } }
* { box-sizing: border-box; margin: 0 }
body { font: 16px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); padding: 1rem; overflow-wrap: anywhere }
main, footer { max-width: 80rem; margin: 0 auto }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; padding: .75rem 0;
  border-top: .5rem solid var(--tone); border-bottom: 1px solid var(--line) }
header > :first-child { font-size: 2rem; line-height: 1 }
h1 { font-size: 1.5rem }
h2 { font-size: 1.25rem; margin: 1.25rem 0 .5rem; display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem .75rem }
h2.small { font-size: 1rem }
dl { display: flex; flex-wrap: wrap; gap: 0 1rem; color: var(--dim) }
dl div { display: flex; gap: .35rem }
dd { color: var(--text) }
ul { list-style: none; padding: 0 }
.check { display: grid; grid-template-columns: 13rem 11rem 1fr 15rem; gap: .1rem 1rem; align-items: center;
  padding: .4rem .75rem; background: var(--card); border-left: 5px solid var(--tone); margin-bottom: .25rem }
.body { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline }
.body bdi { text-align: left }
.body > bdi { flex-basis: 100% }
.body dl { font-size: .875rem }
.name { font-weight: 600 }
.outcome { color: var(--tone); font-weight: 700; white-space: nowrap }
.pass { --tone: var(--pass) } .warn { --tone: var(--warn) } .fail { --tone: var(--fail) } .unknown { --tone: var(--unknown) }
.data::before { content: 'reports'; font-style: italic }
.dim { color: var(--dim); font-weight: 400; font-size: .875rem }
svg { display: block; width: 100%; height: 1.75rem; border-bottom: 1px solid var(--line) }
svg path { fill: none; stroke: var(--tone) }
svg .line { stroke: var(--dim); stroke-width: 1; vector-effect: non-scaling-stroke }
.log li { display: grid; grid-template-columns: 6rem 18rem 8rem 1fr; gap: 0 1rem; padding: .2rem 0;
  border-bottom: 1px solid var(--line); font-size: .875rem }
footer { color: var(--dim); font-size: .875rem; padding-top: 1rem }
@media (max-width: 64rem) {
  .check { grid-template-columns: 1fr 11rem 15rem }
  .check > .body { grid-column: 1 / -1; grid-row: 2 }
}
@media (max-width: 48rem) {
  body { padding: .5rem }
  .check { grid-template-columns: 1fr auto }
  .check > svg { grid-column: 1 / -1 }
  .log li { grid-template-columns: 5rem 1fr }
}
@media (min-width: 100rem) { html { font-size: 125% } }
@media print { :root { color-scheme: light } body { padding: 0 } .check { break-inside: avoid; border: 1px solid; border-left-width: 5px } }
`
