package datafile

import "os"

// Give does nothing: files inherit the rights of their folder.
func Give(*os.File, string) error { return nil }
