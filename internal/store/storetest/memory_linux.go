package storetest

import (
	"os"
	"syscall"
)

// memory is the folder for the files of servers: a fresh database is 300 files, which a slow disk takes half a second
// for. It is "", the usual folder, if TMPDIR says where that is, as make bench does, or if memory has no room for the
// servers of several test processes.
func memory() string {
	if os.Getenv("TMPDIR") != "" {
		return ""
	}
	const shared = "/dev/shm"
	var disk syscall.Statfs_t
	if err := syscall.Statfs(shared, &disk); err != nil || disk.Bavail*uint64(disk.Bsize) < 2<<30 {
		return ""
	}
	return shared
}
