//go:build !linux

package outage

import (
	"net"
	"time"
)

// Dialer returns a dialer whose connections break when the server is gone: where there is no TCP_USER_TIMEOUT, by
// keepalive alone.
func Dialer(unacknowledged time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: unacknowledged, KeepAliveConfig: keepAlive}
}
