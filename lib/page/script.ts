/**
 * The script of the page. Its hash is in the Content-Security-Policy. The page is complete without it, and then refreshes
 * itself. Updates come as rendered HTML, of which the server has escaped every value.
 */
export const SCRIPT = `
const main = document.querySelector('main')
const live = document.querySelector('#live')
let timer
function refresh () {
  live.textContent = 'Refreshes every 5 s'
  timer ??= setTimeout(() => location.reload(), 5000)
}
function watch () {
  // A proxy that buffers passes nothing on.
  clearTimeout(timer)
  timer = setTimeout(() => location.reload(), 10000)
}
const events = new EventSource(document.documentElement.dataset.events)
events.onmessage = ({ data }) => {
  live.textContent = 'Live'
  if (data !== '') main.innerHTML = JSON.parse(data)
  watch()
}
events.onerror = () => {
  events.close()
  clearTimeout(timer)
  timer = undefined
  refresh()
}
watch()
`
