{{/* Who reaches Dask's ports runs code: only the release's own pods, and whom the values name. */}}
{{- define "dask-job.networkpolicy" -}}
{{- if .Values.networkPolicy.enabled -}}
{{- $own := printf "- podSelector:\n    matchLabels:\n%s" (include "dask-job.selector" . | indent 6) -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .base | quote }}
  labels:
    {{- include "dask-job.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "dask-job.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        {{- $own | nindent 8 }}
    {{- with .Values.networkPolicy.dashboardFrom }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - {protocol: TCP, port: 8787}
    {{- end }}
    {{- with .Values.networkPolicy.schedulerFrom }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - {protocol: TCP, port: 8786}
    {{- end }}
  egress:
    - to:
        {{- $own | nindent 8 }}
    {{- /* To any address: cluster DNS may be a cache on the node, which no podSelector selects. */}}
    - ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
    {{- with include "dask-job.s3-port" . }}
    {{- /* To any address: a policy knows no host names, and S3's addresses change. */}}
    - ports:
        - {protocol: TCP, port: {{ . }}}
    {{- end }}
    {{- with .Values.networkPolicy.egress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* The port of the S3 server, or nothing where S3 is not in use; a job that reads a bucket without a URL says so by the
     chart's annotation dask-jobs/reads-s3. */}}
{{- define "dask-job.s3-port" -}}
{{- $s3 := .Values.s3 -}}
{{- $job := .Values.job | default dict -}}
{{- $url := urlParse ($s3.endpoint | default $job.endpoint_url | default "https://s3.amazonaws.com") -}}
{{- $reads := and (index .Chart.Annotations "dask-jobs/reads-s3") (not $job.data) -}}
{{- if or .Values.run.s3 $s3.endpoint $s3.region $s3.credentialsSecret $reads (contains "s3://" (include "dask-job.options" .)) -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}
{{- end }}
