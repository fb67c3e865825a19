//go:build !linux

package outage

import (
	"net"
	"time"
)

// Dialer returns a dialer whose connections break when the server is gone. Without TCP_USER_TIMEOUT, it relies on
// keepalive.
func Dialer(unacknowledged time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: unacknowledged, KeepAliveConfig: keepAlive}
}
