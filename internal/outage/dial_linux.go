package outage

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 0x12

// Dialer returns a dialer whose connections break when sent data is not acknowledged in time. Otherwise the kernel
// keeps retrying for a quarter of an hour after the server is gone.
func Dialer(unacknowledged time.Duration) *net.Dialer {
	milliseconds := int(unacknowledged.Milliseconds())
	control := func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		if controlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, milliseconds)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}
	return &net.Dialer{Timeout: unacknowledged, KeepAliveConfig: keepAlive, Control: control}
}
