//go:build !linux

package store

import (
	"net"
	"time"
)

// dialer returns a dialer whose connections break when the server is gone: where there is no TCP_USER_TIMEOUT, by keepalive alone.
func dialer(unacknowledged time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: unacknowledged, KeepAliveConfig: keepAlive}
}
