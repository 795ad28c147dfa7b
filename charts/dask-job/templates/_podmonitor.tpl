{{/* For the Prometheus operator: the scheduler's metrics, with how many workers there are. */}}
{{- define "dask-job.podmonitor" -}}
{{- if .Values.metrics.podMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ .base | quote }}
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "dask-job.selector" . | nindent 6 }}
      app.kubernetes.io/component: driver
  podMetricsEndpoints:
    - port: dashboard
      path: /metrics
      interval: {{ .Values.metrics.interval }}
      {{- if .Values.tls.enabled }}
      # The certificate's names are the user's choice; that the pod is ours its labels say.
      scheme: https
      tlsConfig:
        insecureSkipVerify: true
      {{- end }}
{{- end }}
{{- end }}
