{{/* An account without rights: no pod talks to the Kubernetes API. */}}
{{- define "dask-job.account" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "dask-job.account-name" . | quote }}
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
  {{- with .Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end }}
