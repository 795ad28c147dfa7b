{{/* What the pods of all roles share. The restricted profile of Pod Security is no option. */}}

{{- define "dask-job.pod-security" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
{{- /* Else the kubelet changes the group of every file of a volume at each start: minutes for a large data set. */}}
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
{{- /* The last lines of a failed container stand in its status too. */}}
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
{{- /* Never: a podFailurePolicy demands it, and the failed pod stays, with its log. */ -}}
restartPolicy: Never
serviceAccountName: {{ include "dask-job.account-name" . | quote }}
automountServiceAccountToken: false
{{- /* Else each Service of the namespace puts variables into every container, thousands in a busy one. */}}
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
  {{- /* The run's label too: pods of an earlier run that still end must not count. */}}
  - {{ merge dict . (hasKey . "labelSelector" | ternary dict (dict "labelSelector" $own)) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with $role.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* cpu reserved (limited if cpuLimit is given), memory reserved and limited, disk limited to the pod's volumes there and
logs, of which 1 GiB is reserved: (list VALUES SIZES), the values of a role or of the scheduler, and the volumes' sizes. */}}
{{- define "dask-job.resources" -}}
{{- $disk := include "dask-job.mebibytes" (index . 1) | int64 -}}
{{- with index . 0 -}}
{{- $reserved := min $disk 1024 -}}
{{- with .scratchRequest }}{{ $reserved = include "dask-job.mebibytes" (list .) | int64 }}{{ end -}}
{{- if gt $reserved $disk }}
{{- fail (printf "scratchRequest is %s, but the limit of its pod, by scratch, is %dMi: give more scratch, or ask for less" .scratchRequest $disk) }}
{{- end -}}
{{- /* No limit on cpu unless it is given: all workers wait for the slowest, and throttling makes one slow. Memory is
limited to what is reserved, so that a node that runs short evicts others first. */ -}}
requests:
  cpu: {{ .cpu | quote }}
  memory: {{ .memory | quote }}
  ephemeral-storage: {{ printf "%dMi" (add $reserved 64) | quote }}
limits:
  {{- with .cpuLimit }}
  cpu: {{ . | quote }}
  {{- end }}
  memory: {{ .memory | quote }}
  {{- /* The kubelet evicts a pod for its emptyDirs and logs together; it keeps some 50 MiB of a container's log. */}}
  ephemeral-storage: {{ printf "%dMi" (add $disk 256) | quote }}
  {{- if .gpu }}
  {{ .gpuResource | quote }}: {{ .gpu | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The sum of sizes as Kubernetes writes them, in whole MiB: the list. */}}
{{- define "dask-job.mebibytes" -}}
{{- $units := dict "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- $total := 0 -}}
{{- range . -}}
{{- $total = addf $total (divf (mulf (regexFind "^[0-9.]+" .) (get $units (regexFind "[A-Za-z]+$" .))) 1048576) -}}
{{- end -}}
{{- ceil $total | int64 -}}
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
    {{- /* The group, fsGroup, reads the key; the files' owner is root. */}}
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
