/** Named async checks that do nothing, so that only the overhead is measured. */
export function checks (count) {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`check${index}`, async () => {}]))
}
