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
    {{- include "dask-job.yaml" $job | nindent 4 }}
{{- end }}

{{/* A value as YAML that PyYAML reads as Helm meant it: toYaml writes 1e-06, a text to PyYAML unless there is a dot in it. */}}
{{- define "dask-job.yaml" -}}
{{- $lines := list -}}
{{- if and . (kindIs "map" .) -}}
{{- range $name, $value := . -}}
{{- $text := include "dask-job.yaml" $value -}}
{{- if and $value (kindIs "map" $value) }}{{ $text = nindent 2 $text }}
{{- else if and $value (kindIs "slice" $value) }}{{ $text = printf "\n%s" $text }}
{{- else }}{{ $text = printf " %s" $text }}{{ end -}}
{{- $lines = append $lines (printf "%s:%s" (include "dask-job.yaml.text" $name) $text) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- else if and . (kindIs "slice" .) -}}
{{- range . }}{{ $lines = append $lines (printf "- %s" (include "dask-job.yaml" . | indent 2 | trim)) }}{{ end -}}
{{- join "\n" $lines -}}
{{- else if kindIs "string" . -}}
{{- include "dask-job.yaml.text" . -}}
{{- else -}}
{{- regexReplaceAll "^(-?[0-9]+)(e[-+][0-9]+)$" (toYaml .) "${1}.0${2}" -}}
{{- end -}}
{{- end }}

{{- define "dask-job.yaml.text" -}}
{{- /* toYaml breaks long texts into lines. */ -}}
{{- regexMatch "^[^\n]{0,60}$" . | ternary (toYaml .) (quote .) -}}
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
