package config_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
)

// rawGo are words of Go and of the YAML library that should not reach the person who writes settings.
var rawGo = regexp.MustCompile(`time:|unmarshal|Go struct|map\[|interface|cannot be parsed|0m0s|h0m|\bnode\b`)

func TestFaultsOfTheFileNameThePlaceAndWhatWouldBeRight(t *testing.T) {
	for content, want := range map[string]string{
		"session-idle: 5 minutes":                                               `session-idle (FILE:1): "5 minutes" is not a duration; write 5m`,
		"session-idle: 300":                                                     `session-idle (FILE:1): "300" is a duration without a unit; write 300s, 300m or 300h`,
		"session-idle: 40h":                                                     `session-idle (FILE:1): "40h" is not between 1m and 24h`,
		"session-idle: soon":                                                    `session-idle (FILE:1): "soon" is not a duration, such as 90s, 15m or 12h`,
		"refresh-token-ttl: 5y":                                                 `refresh-token-ttl (FILE:1): "5y" is not a duration; the longest unit is an hour: write 43800h`,
		"issuer: {host: id.example.com}":                                        `issuer (FILE:1): is a mapping and must be a single value`,
		"issuer: [https://a.example.com]":                                       `issuer (FILE:1): is a list and must be a single value`,
		"trusted-proxies: {a: b}":                                               `trusted-proxies (FILE:1): is a mapping and must be a list of values`,
		"scopes: [payouts]":                                                     `scopes (FILE:1): is a list and must be entries of the form key: value`,
		"scopes: payouts":                                                       `scopes (FILE:1): is "payouts" and must be entries of the form key: value`,
		"scopes:\n  payouts: Pay":                                               `scopes.payouts (FILE:2): is "Pay" and must be entries of the form key: value`,
		"scopes:\n  payouts:\n    description: [Pay]":                           `scopes.payouts.description (FILE:3): is a list and must be a text`,
		"scopes:\n  payouts:\n    descripton: Pay":                              `scopes.payouts.descripton (FILE:3): is not known here; did you mean description?`,
		"action-classes:\n  pay: {description: pay, window: 5 minutes}":         `action-classes.pay.window (FILE:2): "5 minutes" is not a duration; write 5m`,
		"action-classes:\n  pay:\n    description: pay\n    window: 300":        `action-classes.pay.window (FILE:4): "300" is a duration without a unit`,
		"action-classes:\n  pay: {description: pay, window: 24h}":               `action-classes.pay.window (FILE:1): 24h is not between 10s and 12h`,
		"action-classes:\n  pay: {description: pay}":                            `action-classes.pay.window (FILE:1): is missing; write a duration between 10s and 12h`,
		"action-classes:\n  pay: {description: pay, window: 5m, shared: maybe}": `action-classes.pay.shared (FILE:2): is "maybe" and must be true or false`,
		"resources:\n  https://a.example: {scopes: payouts}":                    `resources.https://a.example.scopes (FILE:2): is "payouts" and must be a list`,
		"resources:\n  https://a.example: {scopes: [{a: b}]}":                   `resources.https://a.example.scopes[1] (FILE:2): is a mapping and must be a text`,
		"acr-decay:\n  phr: 24h":                                                `acr-decay.phr (FILE:2): is "24h" and must be entries`,
		"authorization-details-types:\n  pay: {description: x, schema: object}": `authorization-details-types.pay.schema (FILE:2): is "object" and must be entries`,
		"issuer: [":       `config (FILE): is not YAML: line 1: `,
		"a: 1\na: 2":      `config (FILE): is not YAML: line 2: mapping key "a" already defined`,
		"scopes: *nobody": `scopes (FILE:1): has the wrong structure`,
		"- issuer":        `config (FILE): must contain settings as key: value`,
	} {
		path := write(t, "stepward.yaml", content)
		_, err := config.Load(config.Sources{File: path})
		if err == nil {
			t.Errorf("%s: accepted", content)
			continue
		}
		text := strings.ReplaceAll(err.Error(), path, "FILE")
		if !strings.HasPrefix(text, "a setting needs attention:\n  "+want) || rawGo.MatchString(text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %s\nwant %s", content, text, want)
		}
	}
}

func TestAFaultOfTheFileDoesNotShowItsSecrets(t *testing.T) {
	for _, content := range []string{
		"database-url: postgres://u:hunter2@h/d\nissuer: [", "database-url: \"postgres://u:hunter2@h/d", "redis-url: redis://:hunter2@h\n\tx: y",
	} {
		if _, err := config.Load(config.Sources{File: write(t, "stepward.yaml", content)}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestShapesOfYAMLThatAreRight(t *testing.T) {
	c, err := config.Load(config.Sources{File: write(t, "stepward.yaml", `
scopes: &scopes
  payouts:
    description: |
      Pay out
      money
    action-class: pay
  numbers: {description: 7}
resources:
acr-aliases: {}
action-classes:
  pay: {description: pay, window: 1h30m, shared: true}
trusted-proxies: [10.0.0.0/8, 192.0.2.7]
outbound-allow: 10.0.0.1
`)})
	if err != nil {
		t.Fatal(err)
	}
	if pay := c.Policy.ActionClasses["pay"]; pay.Window != 90*time.Minute || !pay.Shared || len(c.TrustedProxies) != 2 {
		t.Errorf("%+v", c)
	}
}
