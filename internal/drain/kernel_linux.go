package drain

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ignoreNew makes the kernel drop the packets that ask a listener for a connection (RFC 9293 §3.5, SYN). Clients send
// them again a second later; by then the port is closed and the answer is a refusal, which is safe to try elsewhere.
// Handshakes under way end as usual. It does nothing to a listener that is not from Listen.
func ignoreNew(l net.Listener) {
	drop := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},         // the flags of the TCP header
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 2, Jf: 1}, // SYN
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},                        // nothing of the packet
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff},              // all of it
	}
	control(l, func(fd int) {
		program := &unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]}
		_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
	})
}

// waiting reports whether connections wait to be accepted.
func waiting(l net.Listener) (some bool) {
	control(l, func(fd int) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		some = n > 0 && err == nil
	})
	return some
}

// arrived reports whether the client has sent something that was not read yet.
func arrived(c net.Conn) (some bool) {
	control(c, func(fd int) {
		var one [1]byte
		n, _, err := unix.Recvfrom(fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		some = n > 0 && err == nil
	})
	return some
}

func control(v any, f func(fd int)) {
	if s, ok := v.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { f(int(fd)) })
		}
	}
}
