//go:build unix

package engine

import (
	"errors"
	"os"
	"syscall"

	"github.com/stepward/stepward/internal/datafile"
)

// lockFile takes an exclusive lock, which the kernel drops when the process ends in any way. It returns ErrInUse if the
// lock is taken.
func lockFile(path string) (*os.File, error) {
	f, err := datafile.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrInUse
	}
	return nil, err
}
