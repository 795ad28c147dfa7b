{{/* Combinations of values that no schema can refuse in words that help. */}}
{{- define "dask-job.checks" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
{{- fail (printf "the release's name is %q, but must begin with a letter and have only a-z, 0-9 and '-', since Services are named after it" .Release.Name) }}
{{- end }}
{{- $least := include "dask-job.least" . | int }}
{{- $most := include "dask-job.most" . | int }}
{{- if gt $least $most }}
{{- fail (printf "workers.min is %d and workers.max is %d (null: workers.count), but min must not be more than max" $least $most) }}
{{- end }}
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
{{- $claim := .Values.run.claim }}
{{- if and .Values.run.s3 (or $claim.create $claim.name) }}
{{- fail (printf "run.s3 is %q and run.claim is given, but a run has one folder: leave one out" .Values.run.s3) }}
{{- end }}
{{- if and $claim.create $claim.name }}
{{- fail (printf "run.claim.create is true and run.claim.name is %q, but a claim is either made or there already: leave one out" $claim.name) }}
{{- end }}
{{- if and $claim.keep (not $claim.create) }}
{{- fail "run.claim.keep is true, but the release makes no claim: set run.claim.create, or leave keep out" }}
{{- end }}
{{- if and .Values.tls.enabled (not .Values.tls.secret) }}
{{- fail "tls.enabled is true, but tls.secret names no secret: it must be one with ca.crt, tls.crt and tls.key" }}
{{- end }}
{{- if and .Values.tls.secret (not .Values.tls.enabled) }}
{{- fail (printf "tls.secret is %q, but tls.enabled is false: set tls.enabled=true, or leave tls.secret out" .Values.tls.secret) }}
{{- end }}
{{- if and .Values.serviceAccount.annotations (not .Values.serviceAccount.create) }}
{{- fail "serviceAccount.annotations are given, but serviceAccount.create is false: annotate the account that is there" }}
{{- end }}
{{- if and .Values.metrics.podMonitor .Values.networkPolicy.enabled (not .Values.networkPolicy.dashboardFrom) }}
{{- fail "metrics.podMonitor is true, but the NetworkPolicy lets nobody reach the metrics: name Prometheus's pods in networkPolicy.dashboardFrom" }}
{{- end }}
{{- end }}

{{/* How many workers the job starts with. */}}
{{- define "dask-job.least" -}}
{{- .Values.workers.min | default .Values.workers.count | int -}}
{{- end }}

{{/* How many workers are asked for. */}}
{{- define "dask-job.most" -}}
{{- .Values.workers.max | default .Values.workers.count | int -}}
{{- end }}
