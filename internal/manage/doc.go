// Package manage has what the operator's commands have in common, and those for signing keys. Packages below it have
// the other commands of administration, by noun. They work on the store beside running servers, and call the operations
// of internal/admin as the operator.
package manage
