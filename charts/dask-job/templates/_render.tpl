{{/* What a chart calls: (list PART .), where PART is objects or notes.

All templates below are given one scope: Helm's own objects and, worked out once, `base` (what names begin with),
`folder` (FOLDER_HASH), `url` (the run folder) and `hash` (HASH, see _names.tpl).
*/}}
{{- define "dask-job.render" -}}
{{- $root := index . 1 -}}
{{- include "dask-job.checks" $root -}}
{{- $scope := dict "Values" $root.Values "Release" $root.Release "Chart" $root.Chart "Capabilities" $root.Capabilities "hash" "" -}}
{{- $_ := set $scope "base" (include "dask-job.base" $scope) -}}
{{- $_ := set $scope "folder" (include "dask-job.folder-hash" $scope) -}}
{{- $_ := set $scope "url" (include "dask-job.run-url" $scope) -}}
{{- $_ := set $scope "hash" (include "dask-job.hash" $scope) -}}
{{- include (printf "dask-job.%s" (index . 0)) $scope -}}
{{- end }}

{{- define "dask-job.objects" -}}
{{- range list "account" "claim" "config" "code" "networkpolicy" "disruption" "podmonitor" "service" "driver" "workers" "test" }}
{{- with include (printf "dask-job.%s" .) $ | trim }}
---
{{ . }}
{{- end }}
{{- end }}
{{- end }}
