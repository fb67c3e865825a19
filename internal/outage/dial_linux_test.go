// This test is inside the package: the name of the socket option is not exported.
package outage

import (
	"net"
	"syscall"
	"testing"
	"time"
)

func TestUnacknowledgedDataBreaksAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dialer(6*time.Second).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (value int) {
		if err := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) }); err != nil {
			t.Fatal(err)
		}
		return value
	}
	if timeout, alive := option(syscall.IPPROTO_TCP, tcpUserTimeout), option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); timeout != 6000 || alive != 1 {
		t.Errorf("TCP_USER_TIMEOUT %d ms, SO_KEEPALIVE %d", timeout, alive)
	}
}
