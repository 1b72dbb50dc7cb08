{{- define "landfall.name" -}}
landfall{{ with .Values.shard }}-{{ . }}{{ end }}
{{- end }}
{{- define "landfall.selector" -}}
app.kubernetes.io/name: landfall
app.kubernetes.io/instance: {{ include "landfall.name" . }}
{{- end }}
{{- define "landfall.labels" -}}
{{ include "landfall.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
