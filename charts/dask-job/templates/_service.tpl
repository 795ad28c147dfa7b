{{/* A name for this run's scheduler: headless, and there before it is ready, so that workers reach it at once. */}}
{{- define "dask-job.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .base }}-driver-{{ .hash }}
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
    dask-jobs/run: {{ .hash | quote }}
spec:
  {{- /* Headless: the name leads to the pods themselves. There is one, and nothing to balance. */}}
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "dask-job.role" (list . "driver") | nindent 4 }}
  ports:
    - {name: scheduler, port: 8786, targetPort: scheduler}
    - {name: dashboard, port: 8787, targetPort: dashboard}
{{- end }}
