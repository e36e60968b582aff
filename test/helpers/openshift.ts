/** OpenShift's own kinds, with the fields of its published OpenAPI document that a manifest may set. No package has them. */
import type { IObjectMeta } from '@kubernetes-models/apimachinery/apis/meta/v1/ObjectMeta'
import type { IContainer, IEnvVar, IObjectReference, IPodTemplateSpec } from 'kubernetes-models/v1'

export interface DeploymentConfig {
  apiVersion: 'apps.openshift.io/v1'
  kind: 'DeploymentConfig'
  metadata?: IObjectMeta
  spec: {
    minReadySeconds?: number
    paused?: boolean
    replicas?: number
    revisionHistoryLimit?: number
    selector?: Record<string, string>
    strategy?: {
      type?: 'Recreate' | 'Rolling' | 'Custom'
      activeDeadlineSeconds?: number
      annotations?: Record<string, string>
      labels?: Record<string, string>
      resources?: IContainer['resources']
      customParams?: { command?: string[], environment?: IEnvVar[], image?: string }
      recreateParams?: { timeoutSeconds?: number, pre?: Hook, mid?: Hook, post?: Hook }
      rollingParams?: {
        intervalSeconds?: number
        maxSurge?: number | string
        maxUnavailable?: number | string
        timeoutSeconds?: number
        updatePeriodSeconds?: number
        pre?: Hook
        post?: Hook
      }
    }
    template?: IPodTemplateSpec
    test?: boolean
    triggers?: Array<{
      type: 'ConfigChange'
    } | {
      type: 'ImageChange'
      imageChangeParams: { automatic?: boolean, containerNames?: string[], from: IObjectReference, lastTriggeredImage?: string }
    }>
  }
}

interface Hook {
  failurePolicy: 'Abort' | 'Ignore' | 'Retry'
  execNewPod?: { command: string[], containerName: string, env?: IEnvVar[], volumes?: string[] }
  tagImages?: Array<{ containerName: string, to: IObjectReference }>
}

export interface Route {
  apiVersion: 'route.openshift.io/v1'
  kind: 'Route'
  metadata?: IObjectMeta
  spec: {
    host?: string
    path?: string
    to: Target
    alternateBackends?: Target[]
    port?: { targetPort: number | string }
    tls?: {
      termination: 'edge' | 'passthrough' | 'reencrypt'
      insecureEdgeTerminationPolicy?: 'Allow' | 'None' | 'Redirect'
      certificate?: string
      key?: string
      caCertificate?: string
      destinationCACertificate?: string
    }
    wildcardPolicy?: 'None' | 'Subdomain'
  }
}

interface Target {
  kind: 'Service'
  name: string
  weight?: number
}
