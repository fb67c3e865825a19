{{- define "stepward.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 50: the longest suffix of the chart's names still fits into 63. */ -}}
{{- define "stepward.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "stepward.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "stepward.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "stepward.selector" -}}
app.kubernetes.io/name: {{ include "stepward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stepward.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "stepward.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "stepward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "stepward.scheme" -}}
{{ ternary "https" "http" (ne .Values.tls.existingSecret "") }}
{{- end }}

{{- define "stepward.host" -}}
{{ get (urlParse .Values.config.issuer) "host" | splitList ":" | first }}
{{- end }}

{{- /* The settings that the chart owns; the values' own come after them. */ -}}
{{- define "stepward.config" -}}
{{- $own := dict
  "listen" ":8080"
  "log-format" "json"
  "shutdown-delay" (printf "%ds" (int .Values.shutdown.delay))
  "shutdown-timeout" (printf "%ds" (int .Values.shutdown.timeout)) }}
{{- if le (int .Values.shutdown.timeout) (int .Values.shutdown.delay) }}
{{- fail "shutdown.timeout must be longer than shutdown.delay, which it includes" }}
{{- end }}
{{- if .Values.metrics.enabled }}{{ $_ := set $own "metrics-listen" (printf ":%d" (int .Values.metrics.port)) }}{{ end }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $own "tls-cert-path" "/run/stepward/tls/tls.crt" }}
{{- $_ := set $own "tls-key-path" "/run/stepward/tls/tls.key" }}
{{- end }}
{{- toYaml (merge $own .Values.config) }}
{{- end }}

{{- /* What a pod of Stepward is, whether it serves or migrates: its settings, its secrets, and no rights. */ -}}
{{- define "stepward.pod" -}}
serviceAccountName: {{ include "stepward.fullname" . }}
automountServiceAccountToken: false
# With links a Service called stepward would set STEPWARD_PORT and others, which are no settings: the program refuses them.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stepward.container" -}}
image: {{ include "stepward.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
env:
  - { name: STEPWARD_CONFIG, value: /run/stepward/config/stepward.yaml }
  {{- range $setting, $key := .Values.secretKeys }}
  {{- if $key }}
  - name: STEPWARD_{{ $setting | upper | replace "-" "_" }}_FILE
    value: /run/stepward/secrets/{{ $setting }}
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: config, mountPath: /run/stepward/config, readOnly: true }
  - { name: secrets, mountPath: /run/stepward/secrets, readOnly: true }
  {{- if .Values.tls.existingSecret }}
  - { name: tls, mountPath: /run/stepward/tls, readOnly: true }
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* Everything of the volumes but the name of the ConfigMap. */ -}}
{{- define "stepward.volumes" -}}
- name: secrets
  secret:
    secretName: {{ required "existingSecret: name a Secret with database-url, redis-url and key" .Values.existingSecret }}
    defaultMode: 0440
    items:
      {{- range $setting, $key := .Values.secretKeys }}
      {{- if $key }}
      - { key: {{ $key }}, path: {{ $setting }} }
      {{- end }}
      {{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
