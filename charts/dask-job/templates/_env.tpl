{{/* Environment variables. */}}

{{/* A container's list: (list SCOPE OWN-YAML GIVEN); what is given replaces the chart's variable of the same name. */}}
{{- define "dask-job.env" -}}
{{- $scope := index . 0 -}}
{{- $given := index . 2 -}}
{{- $names := list -}}
{{- range $given }}{{ $names = append $names .name }}{{ end -}}
{{- $env := list -}}
{{- range printf "%s\n%s" (include "dask-job.env.all" $scope) (index . 1) | fromYamlArray -}}
{{- if not (has .name $names) }}{{ $env = append $env . }}{{ end -}}
{{- end -}}
{{- concat $env $given | toYaml -}}
{{- end }}

{{/* Of all containers. One thread for each library: Dask's workers are what runs in parallel. */}}
{{- define "dask-job.env.all" -}}
{{- range list "OMP_NUM_THREADS" "OPENBLAS_NUM_THREADS" "MKL_NUM_THREADS" "NUMEXPR_NUM_THREADS" "PYTHONUNBUFFERED" }}
- {name: {{ . }}, value: "1"}
{{- end }}
- {name: TF_CPP_MIN_LOG_LEVEL, value: "2"}
{{- if eq .Values.job.cpu "portable" }}
{{- /* Those of jobs/cpu.py: libraries read them when they are loaded. */}}
- {name: OPENBLAS_CORETYPE, value: Haswell}
- {name: NPY_DISABLE_CPU_FEATURES, value: X86_V4 AVX512_ICL AVX512_SPR}
- {name: ONEDNN_MAX_CPU_ISA, value: AVX2}
- {name: ATEN_CPU_CAPABILITY, value: avx2}
- {name: MKL_CBWR, value: COMPATIBLE}
{{- end }}
{{- /* The root file system is read-only; what libraries keep in the home folder goes where they may write. */}}
- {name: HOME, value: /tmp}
- {name: DASK_TEMPORARY_DIRECTORY, value: /tmp}
{{- /* Part of the scheduler's identity. Not .Release.Namespace: `kubectl apply -n` decides on it later. */}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
{{- if .Values.code }}
- {name: PYTHONPATH, value: /code}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION, value: "True"}
{{- $files := dict "COMM__TLS__CA_FILE" "ca.crt" "SCHEDULER__DASHBOARD__TLS__CA_FILE" "ca.crt" }}
{{- range list "COMM__TLS__SCHEDULER" "COMM__TLS__WORKER" "COMM__TLS__CLIENT" "SCHEDULER__DASHBOARD__TLS" }}
{{- $_ := set $files (printf "%s__CERT" .) "tls.crt" }}
{{- $_ := set $files (printf "%s__KEY" .) "tls.key" }}
{{- end }}
{{- range $name, $file := $files }}
- {name: DASK_DISTRIBUTED__{{ $name }}, value: /etc/dask-jobs-tls/{{ $file }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Of those that read and write S3: driver, workers, test. */}}
{{- define "dask-job.env.s3" -}}
{{- with .Values.s3.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.s3.region }}
- {name: AWS_DEFAULT_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .Values.s3.credentialsSecret }}
- {name: AWS_ACCESS_KEY_ID, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: AWS_ACCESS_KEY_ID}}}
- {name: AWS_SECRET_ACCESS_KEY, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: AWS_SECRET_ACCESS_KEY}}}
- {name: AWS_SESSION_TOKEN, valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: AWS_SESSION_TOKEN, optional: true}}}
{{- end }}
{{- end }}
