// Package manage has what the operator's commands have in common, and those for signing keys. Packages below it have
// the other commands of administration, by noun. They are written against the client of the admin API:
//
//	command ─▶ pkg/adminapi ─▶ with --api: HTTP, a token ─▶ a running server
//	                       └▶ else: internal/adminapi in this process, as the operator ─▶ the store, beside servers
package manage
