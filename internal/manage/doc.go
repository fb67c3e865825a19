// Package manage has the commands of administration: clients, users, groups, claims, and keys. They work on the store
// beside running servers, and call the operations of internal/admin as the operator.
package manage
