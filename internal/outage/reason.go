package outage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Reason says in a few words why a connection failed: "connection refused", "there is no host db.internal". Drivers
// say it once for each address and step; what else they say comes back as one line.
func Reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "there is no host " + dns.Name
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
			return fmt.Sprintf("%v (%s)", code, op.Addr)
		}
		return code.Error()
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
