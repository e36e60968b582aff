/** OpenShift's own kinds, with the fields that the examples set. No package has models of them. */
import type { IObjectMeta } from '@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta'
import type { IPodTemplateSpec } from 'kubernetes-models/v1'

export interface DeploymentConfig {
  apiVersion: 'apps.openshift.io/v1'
  kind: 'DeploymentConfig'
  metadata: IObjectMeta
  spec: {
    replicas: number
    selector: Record<string, string>
    strategy: { type: 'Rolling', rollingParams: { maxSurge: number, maxUnavailable: number, timeoutSeconds: number } }
    triggers: Array<{ type: 'ConfigChange' }>
    template: IPodTemplateSpec
  }
}

export interface Route {
  apiVersion: 'route.openshift.io/v1'
  kind: 'Route'
  metadata: IObjectMeta
  spec: {
    to: { kind: 'Service', name: string }
    port: { targetPort: string }
    tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect' }
  }
}
