package idp

import "fmt"

// A StoreFault says in words what is wrong with a store. errors.Is finds ErrUnavailable in it.
type StoreFault struct {
	Word string // for scripts: down, read_only, full, standby, cluster, pooler, refused, wrong
	Text string // for the operator: what it is, and what to do if that is known
	Err  error  // what the driver said, for the log alone: it may name addresses
}

func (f *StoreFault) Error() string {
	if f.Err == nil {
		return fmt.Sprintf("%s: %s", f.Word, f.Text)
	}
	return fmt.Sprintf("%s: %s: %v", f.Word, f.Text, f.Err)
}

// Unwrap serves errors.Is.
func (f *StoreFault) Unwrap() []error { return []error{ErrUnavailable, f.Err} }
