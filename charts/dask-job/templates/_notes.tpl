{{/* NOTES.txt: the exact commands for this release. */}}
{{- define "dask-job.notes" -}}
{{- $at := printf "-n %s" .Release.Namespace -}}
{{- $release := printf "%s %s" .Release.Name $at -}}
{{- $driver := printf "job/%s-driver-%s" .base .hash -}}
{{ .Chart.Name }}, run folder {{ .url }}
{{- if include "dask-job.scratch" . }}
This is scratch space: it is lost with the driver's pod. The result itself (result.json{{ with index .Chart.Annotations "dask-jobs/with-result" }}, and {{ . }}{{ end }})
is in the driver's log, from which dask-jobs wait brings it here.
To keep the folder, install with --set run.claim.create=true or --set run.s3=s3://BUCKET/PREFIX
{{- end }}
{{- if .Values.suspend }}
The Jobs are suspended: nothing starts until suspend is false.
{{- end }}

What it is doing, and why if it is stuck:
  dask-jobs status {{ $release }}
  kubectl {{ $at }} get jobs,pods -l app.kubernetes.io/instance={{ .Release.Name }}

Its log:
  dask-jobs logs {{ $release }}
  kubectl {{ $at }} logs -f {{ $driver }} -c driver

Wait for its end; the first command {{ if not .Values.run.s3 }}brings the result to ./{{ .Release.Name }}-result, and {{ end }}exits with the job's own code:
  dask-jobs wait {{ $release }}
  kubectl {{ $at }} wait --for=condition=complete --timeout={{ .Values.deadlines.job }}s {{ $driver }}

Dask's dashboard, while it runs, at {{ ternary "https" "http" .Values.tls.enabled }}://localhost:8787/status:
  kubectl {{ $at }} port-forward {{ $driver }} 8787

More or fewer workers, while it runs (after the second command, helm upgrade wants --force-conflicts):
  helm upgrade {{ .Release.Name }} charts/{{ .Chart.Name }} {{ $at }} --reuse-values --set workers.{{ .Values.workers.max | empty | ternary "count" "max" }}=4
  kubectl {{ $at }} patch job {{ .base }}-workers-{{ .hash }} -p '{"spec":{"parallelism":4,"completions":4}}'
{{- if not (include "dask-job.scratch" .) }}

The run folder, once it has ended:
  dask-jobs fetch {{ $release }}
  helm test {{ $release }}
  {{- include "dask-job.fetch" . | nindent 2 }}
{{- end }}

Stop it{{ if include "dask-job.scratch" . }} (the run folder is lost){{ else }} with all saved; the command says how it goes on{{ end }}:
  dask-jobs cancel {{ $release }}

Clean up{{ if .Values.run.claim.create }}{{ if .Values.run.claim.keep }} (the claim {{ .base }}-run stays){{ else }} (the claim {{ .base }}-run, with the run folder, is deleted too){{ end }}{{ end }}:
  helm uninstall {{ $release }}
{{ end }}

{{/* Not empty if the run folder is lost with the driver's pod. */}}
{{- define "dask-job.scratch" -}}
{{- if not (or .Values.run.s3 (include "dask-job.claim-name" .)) }}true{{ end -}}
{{- end }}

{{/* The run folder by other means than ours. The pod of a claim waits for a line on stdin: what it writes before
kubectl listens would be lost. */}}
{{- define "dask-job.fetch" -}}
{{- if .Values.run.s3 -}}
aws s3 cp --recursive {{ include "dask-job.shell" .url }} {{ base .url }}{{ with .Values.s3.endpoint }} --endpoint-url {{ include "dask-job.shell" . }}{{ end }}
{{- else -}}
{{- $name := printf "%s-fetch" .base -}}
{{- $command := list "sh" "-c" (printf "read line; exec tar -cf - -C /runs %s" (base .url)) -}}
{{- $security := include "dask-job.container-security" . | fromYaml -}}
{{- $container := dict "name" $name "image" (include "dask-job.image" .) "args" $command "stdin" true "stdinOnce" true "securityContext" $security "volumeMounts" (list (dict "name" "run" "mountPath" "/runs")) -}}
{{- $volume := dict "name" "run" "persistentVolumeClaim" (dict "claimName" (include "dask-job.claim-name" .)) -}}
{{- $spec := include "dask-job.pod-common" . | fromYaml | merge (dict "containers" (list $container) "volumes" (list $volume)) -}}
echo | kubectl -n {{ .Release.Namespace }} run {{ $name }} --rm -i --quiet --restart=Never --image={{ include "dask-job.shell" $container.image }} --overrides={{ dict "spec" $spec | toJson | include "dask-job.shell" }} | tar -x
{{- end -}}
{{- end }}

{{/* A text as one argument of a shell's command. */}}
{{- define "dask-job.shell" -}}
{{- regexMatch "^[-+A-Za-z0-9_./:=@%,]+$" . | ternary . (. | replace "'" "'\\''" | printf "'%s'") -}}
{{- end }}
