package outage_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stepward/stepward/internal/outage"
)

func TestReasonsAreAFewWords(t *testing.T) {
	_, refused := net.Dial("tcp", "127.0.0.1:1")
	for want, err := range map[string]error{
		"connection refused (127.0.0.1:1)": fmt.Errorf("failed to connect: %w", errors.Join(refused, refused)),
		"there is no host db.invalid":      &net.DNSError{Name: "db.invalid", IsNotFound: true},
		"no answer in time":                fmt.Errorf("dial: %w", context.DeadlineExceeded),
		"two lines":                        errors.New("two\n\tlines"),
	} {
		if got := outage.Reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
