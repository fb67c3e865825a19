package config

// crossCheckObserved finds settings of metrics and traces that do not go together.
func crossCheckObserved(c *Config, values map[string]value, fault func(setting, source, message string)) {
	if c.MetricsListen != "" {
		for setting, taken := range map[string]string{"listen": c.Listen, "mtls-listen": c.MTLSListen} {
			if taken != "" && sameAddress(c.MetricsListen, taken) {
				fault("metrics-listen", values["metrics-listen"].source,
					c.MetricsListen+" is already taken by "+setting+" ("+taken+"); use another port, which the public cannot reach")
			}
		}
	}
	if _, given := values["metrics-listen"]; c.Pprof && !given {
		fault("metrics-listen", "", "is missing: pprof is on, and profiles are served only there")
	}
	if _, given := values["trace-url"]; c.TraceHeaders != nil && !given {
		fault("trace-url", "", "is missing: trace-headers is set")
	}
	if c.TraceJoin && len(c.TrustedProxies) == 0 {
		fault("trusted-proxies", values["trusted-proxies"].source, "is missing: trace-parent is join, which trusts only them")
	}
}
