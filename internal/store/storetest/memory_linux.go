package storetest

import "syscall"

// memory is the folder for the files of servers: a fresh database is 300 files, which a slow disk takes half a second
// for. Without room for the servers of several test processes it is "", the usual folder.
func memory() string {
	const shared = "/dev/shm"
	var disk syscall.Statfs_t
	if err := syscall.Statfs(shared, &disk); err != nil || disk.Bavail*uint64(disk.Bsize) < 2<<30 {
		return ""
	}
	return shared
}
