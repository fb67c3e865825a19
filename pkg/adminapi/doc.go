// Package adminapi is the Go client of Stepward's API for administration.
package adminapi
