{{/* What alexnet's options and the other values must keep between them. */}}
{{- define "alexnet.checks" -}}
{{- if .Values.job.demo }}
{{- fail "job.demo is for one machine: its bucket is served where the driver runs, and no other pod can reach it" }}
{{- end }}
{{- $workers := int .Values.workers.count }}
{{- $parts := .Values.job.parts | default "workers" }}
{{- if not (kindIs "string" $parts) }}
{{- if gt $workers (int $parts) }}
{{- fail (printf "workers.count is %d, but job.parts is %d, and each worker needs a part: give more parts, such as %d, or fewer workers" $workers (int $parts) $workers) }}
{{- end }}
{{- end }}
{{- end }}
