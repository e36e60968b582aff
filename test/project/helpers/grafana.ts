import type { Dashboard } from '@grafana/schema'

/** As in JSON, where a member of an enum is its value. */
type Plain<T> = T extends string
  ? `${T}`
  : T extends ReadonlyArray<infer Item>
    ? Array<Plain<Item>>
    : T extends object ? { [Name in keyof T]: Plain<T[Name]> } : T

export type DashboardFile = Plain<Dashboard>
