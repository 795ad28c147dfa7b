{{/* Names, hashes and labels. */}}

{{/* What all names begin with: at most 41 characters, so that `BASE-workers-HASH-123` has at most 63. */}}
{{- define "dask-job.base" -}}
{{- $name := .Release.Name -}}
{{- if gt (len $name) 36 -}}
{{- printf "%s-%s" (trunc 36 $name) ($name | sha256sum | trunc 4) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{/* The job's options that are given, as JSON; a null is none. */}}
{{- define "dask-job.options" -}}
{{- $options := dict -}}
{{- range $name, $value := .Values.job -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $options $name $value }}{{ end -}}
{{- end -}}
{{- toJson $options -}}
{{- end }}

{{/* What decides the result: options and code. */}}
{{- define "dask-job.content" -}}
{{- printf "%s %s" (include "dask-job.options" .) (toJson .Values.code) | sha256sum | trunc 8 -}}
{{- end }}

{{/* What decides the run folder: the same, but of the options only those that the chart's annotation dask-jobs/study
names, if there is one. More memory, more trials, or another tracker go on in the same run folder. */}}
{{- define "dask-job.folder-hash" -}}
{{- $options := toJson (omit (fromJson (include "dask-job.options" .)) "log" "observer" "on_end") -}}
{{- with index .Chart.Annotations "dask-jobs/study" -}}
{{- $study := dict -}}
{{- range $name, $value := fromJson $options -}}
{{- if has $name (splitList " " (index $.Chart.Annotations "dask-jobs/study")) }}{{ $_ := set $study $name $value }}{{ end -}}
{{- end -}}
{{- $options = toJson $study -}}
{{- end -}}
{{- printf "%s %s" $options (toJson .Values.code) | sha256sum | trunc 8 -}}
{{- end }}

{{/* What a running Job cannot take over: all of its fields that Kubernetes does not let change, the run folder, options
and code. The number of workers, deadlines and what stands on the Jobs themselves are no part of it. */}}
{{- define "dask-job.hash" -}}
{{- /* The pods name ConfigMaps by the hash: `hash` in the scope is still empty while it is computed. */ -}}
{{- $immutable := list (include "dask-job.driver.pod" .) (include "dask-job.workers.pod" .) (include "dask-job.workers.immutable" .) -}}
{{- printf "%s %s %s" (join "\n" $immutable) .url (include "dask-job.content" .) | sha256sum | trunc 8 -}}
{{- end }}

{{- define "dask-job.run-url" -}}
{{- $name := .Values.run.name | default (printf "%s-%s" .Release.Name .folder) -}}
{{- if .Values.run.s3 -}}
{{- printf "%s/%s" (trimSuffix "/" .Values.run.s3) $name -}}
{{- else -}}
{{- printf "/runs/%s" $name -}}
{{- end -}}
{{- end }}

{{/* The claim of the run folder, or nothing. */}}
{{- define "dask-job.claim-name" -}}
{{- if .Values.run.claim.create }}{{ .base }}-run{{ else }}{{ .Values.run.claim.name }}{{ end -}}
{{- end }}

{{- define "dask-job.account-name" -}}
{{- .Values.serviceAccount.name | default (ternary .base "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "dask-job.image" -}}
{{- with .Values.image -}}
{{- $name := ternary .repository (printf "%s/%s" (trimSuffix "/" .registry) .repository) (empty .registry) -}}
{{- if .digest -}}
{{- printf "%s@%s" $name .digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where workers look for the scheduler. The pods' search domains add the namespace, so that manifests have none. */}}
{{- define "dask-job.scheduler" -}}
{{- printf "%s://%s-driver-%s:8786" (ternary "tls" "tcp" .Values.tls.enabled) .base .hash -}}
{{- end }}

{{/* The scheduler's identity; POD_NAMESPACE is an environment variable of its pod and of each worker's. */}}
{{- define "dask-job.id" -}}
{{- printf "$(POD_NAMESPACE)/%s/%s" .Release.Name .hash -}}
{{- end }}

{{/* Labels that select all pods of a release. */}}
{{- define "dask-job.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of all objects. */}}
{{- define "dask-job.labels" -}}
{{ include "dask-job.selector" . }}
app.kubernetes.io/part-of: dask-jobs
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that select the pods of one role in one run: (list SCOPE COMPONENT). */}}
{{- define "dask-job.role" -}}
{{ include "dask-job.selector" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
dask-jobs/run: {{ (index . 0).hash | quote }}
{{- end }}

{{/* Labels of a role's Job and pod, beside the common ones: (list SCOPE COMPONENT). */}}
{{- define "dask-job.job-labels" -}}
{{- $scope := index . 0 -}}
{{ include "dask-job.labels" $scope }}
app.kubernetes.io/component: {{ index . 1 }}
dask-jobs/run: {{ $scope.hash | quote }}
{{- with $scope.Values.queue }}
kueue.x-k8s.io/queue-name: {{ . | quote }}
{{- end }}
{{- end }}
