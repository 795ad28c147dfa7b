{{/* The run folder's volume; the same for all runs of a release. */}}
{{- define "dask-job.claim" -}}
{{- with .Values.run.claim -}}
{{- if .create -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "dask-job.claim-name" $ }}
  labels:
    {{- include "dask-job.labels" $ | nindent 4 }}
  {{- if .keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
spec:
  accessModes: {{ toJson .accessModes }}
  {{- /* null leaves the field out: the default class. An empty text is written, and means no class at all. */}}
  {{- if not (kindIs "invalid" .storageClass) }}
  storageClassName: {{ .storageClass | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .size | quote }}
{{- end }}
{{- end }}
{{- end }}
