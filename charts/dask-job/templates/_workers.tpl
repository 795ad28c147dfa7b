{{/* The workers' Job: elastic and indexed, so that a change of parallelism and completions scales the running job. */}}
{{- define "dask-job.workers" -}}
{{- $least := include "dask-job.least" . | int -}}
{{- $most := include "dask-job.most" . | int -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .base }}-workers-{{ .hash }}
  labels:
    {{- include "dask-job.job-labels" (list . "worker") | nindent 4 }}
  {{- if and .Values.queue (lt $least $most) }}
  annotations:
    kueue.x-k8s.io/job-min-parallelism: {{ $least | quote }}
    kueue.x-k8s.io/job-completions-equal-parallelism: "true"
  {{- end }}
spec:
  {{- /* Both, and equal: only so may completions be changed later (elastic Indexed Jobs). */}}
  completions: {{ $most }}
  parallelism: {{ $most }}
  # Longer than the driver's, which ends the job first and then lets the workers go.
  activeDeadlineSeconds: {{ add .Values.deadlines.job 60 }}
  # Not backoffLimitPerIndex: with it, failed pods wait for their replacement, and a namespace in deletion has none.
  backoffLimit: {{ .Values.workers.backoffLimit }}
  {{- with include "dask-job.job-life" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "dask-job.workers.immutable" . | nindent 2 }}
  template:
    {{- include "dask-job.workers.pod" . | nindent 4 }}
{{- end }}

{{/* Fields that Kubernetes does not let change, beside the pod template. */}}
{{- define "dask-job.workers.immutable" -}}
completionMode: Indexed
{{- /* A replacement once the old pod has ended: both would hold the resources of one worker. */}}
podReplacementPolicy: Failed
{{- if semverCompare ">=1.31.0-0" .Capabilities.KubeVersion.Version }}
# The first worker that is told that the work is over ends the Job; one that came too late is removed.
successPolicy:
  rules:
    - succeededCount: 1
{{- end }}
# 143: left after SIGTERM, in good order; 5: no scheduler for deadlines.schedulerLost.
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
    - action: Ignore
      onExitCodes: {containerName: worker, operator: In, values: [143]}
    - action: FailJob
      onExitCodes: {containerName: worker, operator: In, values: [5]}
{{- end }}

{{- define "dask-job.workers.pod" -}}
{{- $role := .Values.workers -}}
metadata:
  {{- include "dask-job.pod-metadata" (list . "worker" $role) | nindent 2 }}
spec:
  {{- include "dask-job.pod-common" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ $role.gracePeriod }}
  {{- with $role.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with include "dask-job.placement" (list . "worker" $role) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: worker
      {{- include "dask-job.container" . | nindent 6 }}
      args:
        - python
        - -m
        - jobs.pods.worker
        - --scheduler
        - {{ include "dask-job.scheduler" . }}
        - --id
        - {{ include "dask-job.id" . | quote }}
        - --name
        - $(POD_NAME)
        - --threads
        - {{ include "dask-job.threads" $role | quote }}
        {{- with $role.gpu }}
        - --gpus
        - {{ . | quote }}
        {{- end }}
        - --memory-limit
        - $(MEMORY_LIMIT)
        - --lost-timeout
        - {{ .Values.deadlines.schedulerLost | quote }}
        - --grace
        {{- /* Less than the pod's: after that Kubernetes kills, and the exit code would be 137 instead of 143. */}}
        - {{ sub $role.gracePeriod 5 | quote }}
      ports:
        - {name: worker, containerPort: 8788}
      env:
        {{- include "dask-job.env" (list . (printf "%s\n%s" (include "dask-job.env.worker" .) (include "dask-job.env.s3" .)) $role.env) | nindent 8 }}
      resources:
        {{- $own := contains "emptyDir" (include "dask-job.workers-run-volume" .) }}
        {{- include "dask-job.resources" (list $role (ternary (list $role.scratch $role.scratch) (list $role.scratch) $own)) | nindent 8 }}
      volumeMounts:
        {{- include "dask-job.mounts" . | nindent 8 }}
        {{- if $role.sharedMemory }}
        - {name: shared-memory, mountPath: /dev/shm}
        {{- end }}
        {{- with include "dask-job.workers-run-mount" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "dask-job.volumes" (list . $role.scratch) | nindent 4 }}
    {{- with $role.sharedMemory }}
    - {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ . }}}}
    {{- end }}
    {{- with include "dask-job.workers-run-volume" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "dask-job.env.worker" -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- /* By the downward API: Kubernetes turns 1Gi into bytes. */}}
- {name: MEMORY_LIMIT, valueFrom: {resourceFieldRef: {containerName: worker, resource: limits.memory}}}
{{- end }}

{{/* Compute threads: what is given, else the whole cores of cpu, at least 1. */}}
{{- define "dask-job.threads" -}}
{{- $cpu := toString .cpu -}}
{{- $cores := hasSuffix "m" $cpu | ternary (divf (trimSuffix "m" $cpu) 1000) (float64 $cpu) -}}
{{- .threads | default (max 1 (floor $cores)) | int -}}
{{- end }}

{{/* For jobs whose workers write to the run folder, which the chart's annotation dask-jobs/workers-write says: the claim,
if pods on several nodes may mount it, else a folder of each worker's own in its place. */}}
{{- define "dask-job.workers-run-volume" -}}
{{- if and (index .Chart.Annotations "dask-jobs/workers-write") (not .Values.run.s3) }}
- name: run
  {{- if and (include "dask-job.claim-name" .) (has "ReadWriteMany" .Values.run.claim.accessModes) }}
  persistentVolumeClaim:
    claimName: {{ include "dask-job.claim-name" . | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.workers.scratch }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "dask-job.workers-run-mount" -}}
{{- if index .Chart.Annotations "dask-jobs/workers-write" }}
{{- include "dask-job.run-mount" . }}
{{- end }}
{{- end }}
