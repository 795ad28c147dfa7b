{{/* The job's options as the driver reads them; nothing secret. */}}
{{- define "dask-job.config" -}}
{{- $job := include "dask-job.options" . | fromJson -}}
{{- $_ := set $job "job" .Chart.Name -}}
{{- $_ := set $job "run" .url -}}
{{- /* By the loopback address: the scheduler is in the same pod. */ -}}
{{- $_ := set $job "scheduler" (printf "%s://127.0.0.1:8786" (ternary "tls" "tcp" .Values.tls.enabled)) -}}
{{- $_ := set $job "workers" (include "dask-job.least" . | int) -}}
{{- $_ := set $job "workers_timeout" (int .Values.deadlines.start) -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .base }}-job-{{ .hash }}
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
    dask-jobs/run: {{ .hash | quote }}
data:
  job.yaml: |
    {{- /* Helm writes 1e-06, which is a text to PyYAML unless there is a dot in it. */}}
    {{- regexReplaceAll "(?m)([:-] -?[0-9]+)(e[-+][0-9]+)$" (toYaml $job) "${1}.0${2}" | nindent 4 }}
{{- end }}

{{/* The user's own modules, on the Python path of all roles. */}}
{{- define "dask-job.code" -}}
{{- with .Values.code -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $.base }}-code-{{ $.hash }}
  labels:
    {{- include "dask-job.labels" $ | nindent 4 }}
    dask-jobs/run: {{ $.hash | quote }}
immutable: true
data:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
