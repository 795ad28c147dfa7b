{{/* `helm test`: reads the run folder of a finished run; a scratch folder is gone with its pod, so it has no test. */}}
{{- define "dask-job.test" -}}
{{- if not (include "dask-job.scratch" .) -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .base }}-test-{{ .hash }}
  {{- $none := dict "podLabels" dict "podAnnotations" dict }}
  {{- $metadata := include "dask-job.pod-metadata" (list . "test" $none) | fromYaml }}
  labels:
    {{- merge $metadata.labels (include "dask-job.labels" . | fromYaml) | toYaml | nindent 4 }}
  annotations:
    {{- with $metadata.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    helm.sh/hook: test
    # A hook is no part of the release: left alone, it would outlive `helm uninstall`.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
    helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
spec:
  {{- include "dask-job.pod-common" . | nindent 2 }}
  {{- with include "dask-job.placement" (list . "test" (pick .Values.driver "nodeSelector" "tolerations" "affinity" "priorityClassName")) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: test
      {{- include "dask-job.container" . | nindent 6 }}
      args: [dask-jobs, show, {{ .url | quote }}]
      env:
        {{- include "dask-job.env" (list . (include "dask-job.env.s3" .) .Values.driver.env) | nindent 8 }}
      resources:
        {{- include "dask-job.resources" (list (dict "cpu" "100m" "memory" "512Mi") (list .Values.driver.scratch)) | nindent 8 }}
      volumeMounts:
        {{- include "dask-job.mounts" . | nindent 8 }}
        {{- with include "dask-job.run-mount" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "dask-job.volumes" (list . .Values.driver.scratch) | nindent 4 }}
    {{- with include "dask-job.run-volume" . | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}
