// Package datafile makes the files of a data folder. They belong to the folder's owner, also if root makes them: an
// operator who runs a command as root must not lock out the server, which runs as a user of its own.
package datafile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Open opens a file for reading and writing, and makes it if it is missing. Only its owner can use it.
func Open(path string) (*os.File, error) {
	f, err := Create(path)
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	return f, err
}

// Create makes a file that must not exist, else fs.ErrExist. Only its owner can use it.
func Create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Give(f, filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}
