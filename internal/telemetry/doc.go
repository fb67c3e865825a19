// Package telemetry shows the program from outside: metrics for Prometheus, and traces for OpenTelemetry. Nothing else
// imports client_golang or the OpenTelemetry SDK. The rest of the house has small funcs that package server sets to
// methods of [Metrics] and [Tracer]:
//
//	web.Config.Answered       each request, with the attributes of its log record (web.Note)
//	store.DB.Observe          each question to the database
//	ephemeral.Observe         each question to the ephemeral store
//	outbound.Config.Transport each request of ours to others
//
// What is counted about sign-ins and tokens comes from the attributes of the log record, so that log and metrics never
// disagree. No label is taken from a request: each has a fixed set of values, or those of the configuration, and
// everything else is "other". So strangers cannot create series. Spans carry routes and steps, never paths, queries,
// arguments, keys, names or addresses of people.
package telemetry
