{{/* What tune's options and the other values must keep between them. */}}
{{- define "tune.checks" -}}
{{- $threads := include "dask-job.threads" .Values.workers | int }}
{{- with .Values.job.threads_per_trial }}
{{- if gt (int .) $threads }}
{{- fail (printf "job.threads_per_trial is %d, but a worker has %d (workers.threads, or the whole cores of workers.cpu): give workers more, or trials fewer" (int .) $threads) }}
{{- end }}
{{- end }}
{{- with .Values.job.gpus_per_trial }}
{{- if gt (float64 .) (float64 $.Values.workers.gpu) }}
{{- fail (printf "job.gpus_per_trial is %v, but workers.gpu is %d: give workers more, or trials fewer" . (int $.Values.workers.gpu)) }}
{{- end }}
{{- if gt (float64 $.Values.workers.gpu) (ceil (float64 .)) }}
{{- fail (printf "workers.gpu is %d, but job.gpus_per_trial is %v, and all trials of a worker see all of its GPUs: give a worker those of one trial, and take more workers" (int $.Values.workers.gpu) .) }}
{{- end }}
{{- end }}
{{- if kindIs "string" .Values.job.space }}
{{- if not (hasPrefix "/" .Values.job.space) }}
{{- fail (printf "job.space is %q, but must be a file that the pods see, such as /code/space.yaml with --set-file code.space\\.yaml=space.yaml, or the space itself: name: {kind: [...]}" .Values.job.space) }}
{{- end }}
{{- if and (hasPrefix "/code/" .Values.job.space) (not (hasKey .Values.code (trimPrefix "/code/" .Values.job.space))) }}
{{- fail (printf "job.space is %q, but code has no such file: add it by --set-file code.NAME=FILE" .Values.job.space) }}
{{- end }}
{{- end }}
{{- end }}
