//go:build unix

package datafile

import (
	"fmt"
	"os"
	"syscall"
)

// Give makes f, which this process has just made, a file of the folder's owner. Only root can and need do that. Never
// call it for a file that was there before: the owner of the folder may have put a link to another one in its place.
func Give(f *os.File, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("give it to the owner of %s: %w", folder, err)
	}
	return nil
}
