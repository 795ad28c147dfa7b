{{/* The driver's Job: its exit code is the job's. The scheduler is a sidecar, so that both live and end together. */}}
{{- define "dask-job.driver" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .base }}-driver-{{ .hash }}
  labels:
    {{- include "dask-job.job-labels" (list . "driver") | nindent 4 }}
  annotations:
    dask-jobs/run-url: {{ .url | quote }}
    dask-jobs/start-timeout: {{ .Values.deadlines.start | quote }}
    dask-jobs/workers: {{ include "dask-job.least" . | quote }}
spec:
  completionMode: NonIndexed
  completions: 1
  parallelism: 1
  {{- /* A replacement only once the old pod has ended: two drivers would write to one run folder. */}}
  podReplacementPolicy: Failed
  backoffLimit: {{ .Values.driver.backoffLimit }}
  activeDeadlineSeconds: {{ .Values.deadlines.job }}
  {{- with include "dask-job.job-life" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  # 1, 2: trying again would fail again; 3: the driver has tried again itself; 4: stopped by SIGTERM, all saved.
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - {type: DisruptionTarget, status: "True"}
      - action: FailJob
        onExitCodes: {containerName: driver, operator: In, values: [1, 2, 3]}
      - action: Ignore
        onExitCodes: {containerName: driver, operator: In, values: [4]}
  template:
    {{- include "dask-job.driver.pod" . | nindent 4 }}
{{- end }}

{{/* Of both Jobs. suspend: false is not written: Kueue and `dask-jobs cancel` set the field, and an upgrade must not. */}}
{{- define "dask-job.job-life" -}}
{{- if .Values.suspend }}
suspend: true
{{- end }}
{{- if not (kindIs "invalid" .Values.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ .Values.ttlSecondsAfterFinished }}
{{- end }}
{{- end }}

{{- define "dask-job.driver.pod" -}}
{{- $role := .Values.driver -}}
metadata:
  {{- include "dask-job.pod-metadata" (list . "driver" $role) | nindent 2 }}
spec:
  {{- include "dask-job.pod-common" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ $role.gracePeriod }}
  {{- with include "dask-job.placement" (list . "driver" $role) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  initContainers:
    - name: scheduler
      restartPolicy: Always
      {{- include "dask-job.container" . | nindent 6 }}
      {{- /* An init container with this restartPolicy is a sidecar: it starts before the driver, is restarted on its own,
      and gets SIGTERM when the driver has ended, so that the pod, and with it the Job, can complete. */}}
      args: [python, -m, jobs.pods.scheduler, --id, {{ include "dask-job.id" . | quote }}]
      ports:
        - {name: scheduler, containerPort: 8786}
        - {name: dashboard, containerPort: 8787}
      env:
        {{- include "dask-job.env" (list . "" $role.env) | nindent 8 }}
      resources:
        {{- include "dask-job.resources" (list $role.scheduler list) | nindent 8 }}
      volumeMounts:
        {{- include "dask-job.mounts" . | nindent 8 }}
  containers:
    - name: driver
      {{- include "dask-job.container" . | nindent 6 }}
      args: [python, -m, jobs.pods.driver, {{ .Chart.Name }}, --config, /etc/dask-jobs/job.yaml]
      env:
        {{- /* The driver retries within its pod: a replaced pod would lose scratch space, and wait for its place anew. */}}
        {{- $retries := printf "- {name: DASK_JOBS_RETRIES, value: %q}" (toString $role.backoffLimit) }}
        {{- /* Of the run's provenance. */}}
        {{- $image := printf "- {name: DASK_JOBS_IMAGE, value: %q}" (include "dask-job.image" .) }}
        {{- $release := printf "- {name: DASK_JOBS_RELEASE, value: %q}" .Release.Name }}
        {{- include "dask-job.env" (list . (printf "%s\n%s\n%s\n%s" $retries $image $release (include "dask-job.env.s3" .)) $role.env) | nindent 8 }}
      resources:
        {{- /* The run folder in scratch space is a second volume. */}}
        {{- $sizes := ternary (list $role.scratch $role.scratch) (list $role.scratch) (eq (include "dask-job.scratch" .) "true") }}
        {{- include "dask-job.resources" (list $role $sizes) | nindent 8 }}
      volumeMounts:
        {{- include "dask-job.mounts" . | nindent 8 }}
        - name: job
          mountPath: /etc/dask-jobs
          readOnly: true
        {{- with include "dask-job.run-mount" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "dask-job.volumes" (list . $role.scratch) | nindent 4 }}
    - name: job
      configMap:
        name: {{ .base }}-job-{{ .hash }}
    {{- with include "dask-job.run-volume" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
