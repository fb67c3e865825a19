package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown returns docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from internal/config by "go test ./internal/config -update". Do not edit. -->

Stepward starts without any settings. It takes each setting from the first of these that has it:

1. flags: ` + "`--issuer https://id.example.com`" + ` (secrets only as files: ` + "`--key-file /run/secrets/key`" + `),
2. the environment: ` + "`STEPWARD_ISSUER`, or `STEPWARD_ISSUER_FILE`" + ` naming a file that contains the value,
3. a YAML file named by ` + "`--config`" + ` or ` + "`STEPWARD_CONFIG`" + `: ` + "`issuer: https://id.example.com`" + `,
4. the defaults below.

` + "`stepward config check`" + ` reads the settings as ` + "`serve`" + ` would, and reports all faults at once.

| setting | variable | default | |
|-|-|-|-|
`)
	for _, s := range Settings {
		def, help := "–", s.Help
		if s.InPolicy {
			help += " ◆"
		}
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Flag(), s.Env(), def, strings.ReplaceAll(help, "|", "\\|"))
	}
	b.WriteString("\n◆ and the settings below may also stand in the policy, which is kept in the store and changes " +
		"without a restart ([stepward policy](admin.md#policy)). There they come after 3 and before the defaults.\n")
	b.WriteString("\nSettings with a structure, in the YAML file or the policy only:\n\n| key | |\n|-|-|\n")
	for _, key := range slices.Sorted(maps.Keys(structured)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, structured[key])
	}
	b.WriteString("\nFor example:\n\n```yaml\n" + Example + "```\n")
	return b.String()
}

// Example is the YAML file in the documentation. A test loads it.
const Example = `issuer: https://id.example.com
listen: ":8080"
trusted-proxies: [10.0.0.0/8]
action-classes:
  payments:
    description: make a payment
    acr: phr
    window: 5m
scopes:
  payouts:
    description: Pay out money on your behalf
    action-class: payments
resources:
  https://api.example.com:
    scopes: [payouts]
    access-token-ttl: 5m
authorization-details-types:
  payment_initiation:
    description: Pay {amount.value} {amount.currency} to {creditor}
    action-class: payments
    schema:
      type: object
      required: [type, amount, creditor]
      additionalProperties: false
      properties:
        type: {const: payment_initiation}
        creditor: {type: string, maxLength: 100}
        amount:
          type: object
          required: [value, currency]
          additionalProperties: false
          properties:
            value: {type: string, pattern: '^[0-9]{1,9}\.[0-9]{2}$'}
            currency: {enum: [EUR, USD]}
acr-aliases:
  urn:example:gold:
    acr: phrh
    max-age: 5m
acr-decay:
  phrh:
    absolute: 12h
    idle: 15m
`
