/**
 * The script of the page. Its hash is in the Content-Security-Policy. The page is complete without it, and then refreshes
 * itself. Updates come as rendered HTML, of which the server has escaped every value. Where there are no events, or none
 * gets through, the page is fetched again; what was last seen stays while the service doesn't answer.
 */
export const SCRIPT = `
const main = document.querySelector('main')
const live = document.querySelector('#live')
let timer
let seen = new Date()
function connect () {
  const events = new EventSource(document.documentElement.dataset.events)
  function fail () {
    events.close()
    clearTimeout(timer)
    timer = setTimeout(refresh, 5000)
    live.textContent = 'Refreshes every 5 s'
  }
  // A proxy that buffers passes nothing on.
  function watch () {
    clearTimeout(timer)
    timer = setTimeout(fail, 10000)
  }
  events.onmessage = ({ data }) => {
    live.textContent = 'Live'
    seen = new Date()
    if (data !== '') main.innerHTML = JSON.parse(data)
    watch()
  }
  events.onerror = fail
  watch()
}
async function refresh () {
  try {
    const response = await fetch(location.href, { cache: 'no-store' })
    if (!response.ok) throw new Error(response.status)
    const { body } = new DOMParser().parseFromString(await response.text(), 'text/html')
    main.innerHTML = body.querySelector('main').innerHTML
    seen = new Date()
    connect()
  } catch {
    live.textContent = 'No answer since ' + seen.toISOString().slice(11, 19) + 'Z'
    timer = setTimeout(refresh, 5000)
  }
}
connect()
`
