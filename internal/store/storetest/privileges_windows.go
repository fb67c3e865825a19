package storetest

import "os/exec"

// humble has no server to prepare: the script needs a unix.
func humble(*exec.Cmd, string) error { return errNoPostgres }
