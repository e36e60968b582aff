/** Validates manifests by the package kubernetes-models: what the API server would refuse, or drop silently. */
import { join } from 'node:path'
import { PodMonitor, PrometheusRule, ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'
import { Deployment } from 'kubernetes-models/apps/v1'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import ts from 'typescript'
import type { Manifest } from '../../helpers/kustomize.js'

const OPERATOR = "import('@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1')"

const MODELS: { [kind: string]: { type: string, model?: new (object: any) => { validate (): void } } } = {
  Deployment: { type: "import('kubernetes-models/apps/v1').IDeployment", model: Deployment },
  DeploymentConfig: { type: "import('./openshift.js').DeploymentConfig" },
  Ingress: { type: "import('kubernetes-models/networking.k8s.io/v1').IIngress", model: Ingress },
  PodDisruptionBudget: { type: "import('kubernetes-models/policy/v1').IPodDisruptionBudget", model: PodDisruptionBudget },
  PodMonitor: { type: `${OPERATOR}.IPodMonitor`, model: PodMonitor },
  PrometheusRule: { type: `${OPERATOR}.IPrometheusRule`, model: PrometheusRule },
  ServiceMonitor: { type: `${OPERATOR}.IServiceMonitor`, model: ServiceMonitor },
  Route: { type: "import('./openshift.js').Route" },
  Service: { type: "import('kubernetes-models/v1').IService", model: Service }
}

/** @throws the first thing that a schema doesn't allow */
export function validate (objects: readonly Manifest[]): void {
  for (const object of objects) {
    const { model: Model } = MODELS[object.kind]!
    if (Model !== undefined) new Model(object).validate()
  }
}

/**
 * The schemas allow unknown fields, which is how a typing error goes unnoticed. The types don't: so each object is
 * compiled as a literal of its type.
 */
export function typeErrors (objects: readonly Manifest[]): string[] {
  return literalErrors(objects.map(object => ({ type: MODELS[object.kind]?.type ?? 'never', value: object })))
}

/** What doesn't fit in values as literals of types. */
export function literalErrors (literals: ReadonlyArray<{ readonly type: string, readonly value: object }>): string[] {
  const file = join(__dirname, 'manifests.literals.ts')
  const lines = literals.map(({ type, value }, index) => `export const object${index}: ${type} = ${JSON.stringify(value)}`)
  const options: ts.CompilerOptions = {
    strict: true, noEmit: true, skipLibCheck: true, types: [], module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.fileExists = name => name === file || fileExists(name)
  host.getSourceFile = (name, version, ...rest) => {
    return name === file ? ts.createSourceFile(name, lines.join('\n'), version) : getSourceFile(name, version, ...rest)
  }
  const program = ts.createProgram([file], options, host)
  return program.getSemanticDiagnostics(program.getSourceFile(file)).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}
