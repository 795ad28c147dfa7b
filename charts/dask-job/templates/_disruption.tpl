{{/* Node drains wait for the driver: with it they would stop the whole job. */}}
{{- define "dask-job.disruption" -}}
{{- if .Values.driver.podDisruptionBudget -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .base }}-driver
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels:
      {{- include "dask-job.selector" . | nindent 6 }}
      app.kubernetes.io/component: driver
{{- end }}
{{- end }}
