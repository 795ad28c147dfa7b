{{/* What the pods of all roles share. The restricted profile of Pod Security is no option. */}}

{{- define "dask-job.pod-security" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "dask-job.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Image and security of a container. */}}
{{- define "dask-job.container" -}}
image: {{ include "dask-job.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "dask-job.container-security" . | nindent 2 }}
{{- end }}

{{/* Labels and annotations of a pod: (list SCOPE COMPONENT VALUES-OF-THE-ROLE). */}}
{{- define "dask-job.pod-metadata" -}}
{{- $scope := index . 0 -}}
{{- $role := index . 2 -}}
labels:
  {{- include "dask-job.role" . | nindent 2 }}
  app.kubernetes.io/part-of: dask-jobs
  {{- with merge dict ($role.podLabels | default dict) $scope.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict ($role.podAnnotations | default dict) $scope.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A pod's fields that no role changes. */}}
{{- define "dask-job.pod-common" -}}
restartPolicy: Never
serviceAccountName: {{ include "dask-job.account-name" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "dask-job.pod-security" . | nindent 2 }}
{{- end }}

{{/* On which nodes a role's pods run: (list SCOPE COMPONENT VALUES-OF-THE-ROLE). */}}
{{- define "dask-job.placement" -}}
{{- $role := index . 2 -}}
{{- with $role.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $role.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $role.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $role.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range $role.topologySpreadConstraints }}
  {{- $own := dict "matchLabels" (include "dask-job.role" $ | fromYaml) }}
  - {{ merge dict . (hasKey . "labelSelector" | ternary dict (dict "labelSelector" $own)) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with $role.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* cpu reserved (limited if cpuLimit is given), memory reserved and limited: values of a role or of the scheduler. */}}
{{- define "dask-job.resources" -}}
requests:
  cpu: {{ .cpu | quote }}
  memory: {{ .memory | quote }}
limits:
  {{- with .cpuLimit }}
  cpu: {{ . | quote }}
  {{- end }}
  memory: {{ .memory | quote }}
  {{- if .gpu }}
  {{ .gpuResource }}: {{ .gpu | quote }}
  {{- end }}
{{- end }}

{{/* Volumes of all roles: (list SCOPE SCRATCH-SIZE). */}}
{{- define "dask-job.volumes" -}}
{{- $scope := index . 0 -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ index . 1 }}
{{- with $scope.Values.code }}
- name: code
  configMap:
    name: {{ $scope.base }}-code-{{ $scope.hash }}
{{- end }}
{{- if $scope.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ $scope.Values.tls.secret | quote }}
    defaultMode: 0440
{{- end }}
{{- with $scope.Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dask-job.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- with .Values.code }}
- name: code
  mountPath: /code
  readOnly: true
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/dask-jobs-tls
  readOnly: true
{{- end }}
{{- with .Values.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The run folder: the claim, or scratch space of the driver's pod; nothing if it is in S3. */}}
{{- define "dask-job.run-volume" -}}
{{- if not .Values.run.s3 }}
- name: run
  {{- with include "dask-job.claim-name" . }}
  persistentVolumeClaim:
    claimName: {{ . | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.driver.scratch }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "dask-job.run-mount" -}}
{{- if not .Values.run.s3 }}
- name: run
  mountPath: /runs
{{- end }}
{{- end }}
