/** Manifests against the models of their kinds: what the API server would refuse, or drop without a word. */
import { join } from 'node:path'
import { Deployment } from 'kubernetes-models/apps/v1'
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import ts from 'typescript'
import type { Manifest } from './kustomize.js'

const kinds: { [kind: string]: { type: string, validate?: (object: any) => void } } = {
  'apps/v1 Deployment': {
    type: "import('kubernetes-models/apps/v1').IDeployment",
    validate: object => new Deployment(object).validate()
  },
  'networking.k8s.io/v1 Ingress': {
    type: "import('kubernetes-models/networking.k8s.io/v1').IIngress",
    validate: object => new Ingress(object).validate()
  },
  'policy/v1 PodDisruptionBudget': {
    type: "import('kubernetes-models/policy/v1').IPodDisruptionBudget",
    validate: object => new PodDisruptionBudget(object).validate()
  },
  'v1 Service': {
    type: "import('kubernetes-models/v1').IService",
    validate: object => new Service(object).validate()
  },
  'apps.openshift.io/v1 DeploymentConfig': {
    type: "import('./openshift.js').DeploymentConfig",
    // OpenShift has no models, but the pod is that of Kubernetes.
    validate: ({ spec: { selector, template } }) => {
      new Deployment({ spec: { selector: { matchLabels: selector }, template } }).validate()
    }
  },
  'route.openshift.io/v1 Route': { type: "import('./openshift.js').Route" }
}

/** What is wrong with each of the objects. */
export function modelFindings (objects: Manifest[]): string[][] {
  const findings = typeFindings(objects)
  objects.forEach((object, index) => {
    try {
      kinds[kindOf(object)]?.validate?.(object)
    } catch (error) {
      findings[index]!.push((error as Error).message)
    }
  })
  return findings
}

const kindOf = ({ apiVersion, kind }: Manifest) => `${apiVersion} ${kind}`

/**
 * The models' validators let a field pass that they don't know, which is how a typing error goes unseen. Their types don't:
 * so each object is written down as a literal of its type, one a line, and compiled.
 */
function typeFindings (objects: Manifest[]): string[][] {
  const file = join(__dirname, 'manifests.literals.ts')
  const lines = objects.map((object, index) => {
    return `export const object${index}: ${kinds[kindOf(object)]?.type ?? 'never'} = ${JSON.stringify(object)}`
  })
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
  const source = program.getSourceFile(file)!
  const findings: string[][] = objects.map(() => [])
  for (const { start, messageText } of [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]) {
    findings[source.getLineAndCharacterOfPosition(start!).line]!.push(ts.flattenDiagnosticMessageText(messageText, ' '))
  }
  return findings
}
