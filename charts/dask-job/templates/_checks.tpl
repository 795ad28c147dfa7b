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
{{- range $name, $text := .Values.code }}
{{- if or (eq $name ".") (hasPrefix ".." $name) }}
{{- fail (printf "code has the file %q, but no file of a ConfigMap may be called '.', or begin with '..'" $name) }}
{{- end }}
{{- if regexMatch "^jobs[.](py|pyc|(.*[.])?so)$" $name }}
{{- fail (printf "code has the file %q, which would hide the package jobs, of which every pod runs a module: choose another name" $name) }}
{{- end }}
{{- end }}
{{- include "dask-job.check-names" (list "job" .Values.job) }}
{{- end }}

{{/* The names in the job's options, at any depth: (list PATH VALUE). Helm's YAML is 1.1, where a bare n or y is false or
true, and as a name the text "false" or "true". */}}
{{- define "dask-job.check-names" -}}
{{- $path := index . 0 }}
{{- $value := index . 1 }}
{{- if kindIs "map" $value }}
{{- range $name, $inner := $value }}
{{- if has $name (list "false" "true") }}
{{- fail (printf "%s has the name %q, which YAML makes of a bare %s: quote the name in the values file, or choose another" $path $name (ternary "n, no, off or false" "y, yes, on or true" (eq $name "false"))) }}
{{- end }}
{{- include "dask-job.check-names" (list (printf "%s.%s" $path $name) $inner) }}
{{- end }}
{{- else if kindIs "slice" $value }}
{{- range $value }}
{{- include "dask-job.check-names" (list $path .) }}
{{- end }}
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
