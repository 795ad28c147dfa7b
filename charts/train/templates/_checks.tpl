{{/* What train's options and the other values must keep between them. */}}
{{- define "train.checks" -}}
{{- $workers := int .Values.workers.count }}
{{- $parts := .Values.job.parts | default 8 }}
{{- if not (kindIs "string" $parts) }}
{{- if gt $workers (int $parts) }}
{{- fail (printf "workers.count is %d, but job.parts is %d, and each worker needs a part: give more parts, such as %d, or fewer workers" $workers (int $parts) $workers) }}
{{- end }}
{{- end }}
{{- end }}
